"""Django's tasks of the shop."""

from __future__ import annotations

import os
import time

from shop.models import Order

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


@task
def confirm(order_id, greeting="Dear"):
    order = Order.objects.get(pk=order_id)
    order.note(f"{greeting} {order.customer}, thank you!")
    return {"order": order.pk, "letters": len(order.customer)}


@task(queue_name="mail", priority=10)
async def mail(address):
    return f"mailed {address}"


@task(takes_context=True)
def describe(context, factor=1):
    return [context.attempt, str(context.task_result.id) != "", factor * 2]


@task
def refuse(reason):
    raise ValueError(reason)


@task
def hesitate(order_id):
    """Fail at the first attempt."""
    order = Order.objects.get(pk=order_id)
    order.note("tried")
    if order.notes.count("tried") < 2:
        raise TimeoutError("not yet")
    return order.notes.count("tried")


@task
def unwritable():
    return object()


@task
def whoami():
    return os.getpid()


@task
def vanish():
    os._exit(1)


@task
def rest(seconds):
    time.sleep(seconds)


@task(backend="unlogged")
def unlogged(order_id):
    Order.objects.get(pk=order_id).note("done without a log")
