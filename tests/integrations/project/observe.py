"""
Uses the shop as its programs would, beside a running worker, and prints what it saw as JSON.

One program for all of it, because each start of Django takes a second. Its arguments are the
names of what to observe.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.utils import timezone  # noqa: E402
from shop import tasks, workers  # noqa: E402
from shop.models import Order  # noqa: E402

from geartrain import AdminClient  # noqa: E402
from geartrain.errors import ConnectionFailed  # noqa: E402
from geartrain.integrations.django import app, delay_on_commit  # noqa: E402
from geartrain.integrations.django.models import JobLog  # noqa: E402

DEADLINE = 10.0
NOWHERE = {**settings.GEARTRAIN, "SERVERS": ["127.0.0.1:9"]}


def eventually(condition: Callable[[], Any], what: str, times: float = 1.0) -> Any:
    give_up = time.monotonic() + times * DEADLINE
    while not (value := condition()):
        if time.monotonic() > give_up:
            raise TimeoutError(f"after {DEADLINE} s still not true: {what}")
        time.sleep(0.01)
    return value


def ended(result: Any, times: float = 1.0) -> Any:
    def is_finished() -> bool:
        result.refresh()
        return bool(result.is_finished)

    eventually(is_finished, f"{result.task.name} has ended", times)
    return result


def order(customer: str = "Ada") -> Order:
    return Order.objects.create(customer=customer)


def waiting(function: str) -> int:
    """Return how many jobs of a function the server has."""
    with AdminClient(settings.GEARTRAIN["SERVERS"][0]) as admin:
        return sum(one.total for one in admin.status() if one.function == function)


class Undone(Exception):
    """Rolls a transaction back."""


def results() -> Any:
    placed = order()
    enqueued = tasks.confirm.enqueue(placed.pk, greeting="Hello")
    before = str(enqueued.status)
    result = ended(enqueued)
    row = JobLog.objects.get(pk=result.id)
    placed.refresh_from_db()
    return {
        "before": before,
        "after": str(result.status),
        "value": result.return_value == {"order": placed.pk, "letters": 3},
        "notes": placed.notes,
        "attempts": result.attempts,
        "row": [row.processed, row.task_path, row.handle[:2], row.server != "", row.attempts],
        "times": row.enqueued_at <= row.started_at <= row.finished_at,
        "same": tasks.confirm.get_result(result.id).return_value == result.return_value,
    }


def kinds() -> Any:
    mailed = ended(tasks.mail.enqueue("ada@example.org"))
    described = ended(tasks.describe.using(priority=-5).enqueue(factor=4))
    return {"async": mailed.return_value, "context": described.return_value}


def failures() -> Any:
    refused = ended(tasks.refuse.enqueue("no stock"))
    unwritable = ended(tasks.unwritable.enqueue())
    row = JobLog.objects.get(pk=refused.id)
    return {
        "status": str(refused.status),
        "class": refused.errors[0].exception_class_path,
        "traceback": "no stock" in refused.errors[0].traceback,
        "processed": row.processed,
        "unwritable": unwritable.errors[0].exception_class_path,
    }


def transactions() -> Any:
    lost = order("nobody")
    try:
        with transaction.atomic():
            tasks.confirm.enqueue(lost.pk)
            delay_on_commit(workers.annotate, lost.pk, "annotated")
            raise Undone
    except Undone:
        rows_after_rollback = JobLog.objects.filter(args=[lost.pk]).count()
    with transaction.atomic():
        kept = order("somebody")
        result = tasks.confirm.enqueue(kept.pk)
        delay_on_commit(workers.annotate, kept.pk, "annotated")
        unsent = JobLog.objects.get(pk=result.id).handle == ""
    ended(result)
    eventually(lambda: "annotated" in Order.objects.get(pk=kept.pk).notes, "it is annotated")
    lost.refresh_from_db()
    return {
        "rows after rollback": rows_after_rollback,
        "notes after rollback": lost.notes,
        "unsent until commit": unsent,
        "after commit": str(result.status),
    }


def later() -> Any:
    moment = timezone.now() + timedelta(milliseconds=100)
    result = tasks.confirm.using(run_after=moment).enqueue(order().pk)
    ended(result)
    return {"not before": result.started_at >= moment}


def unlogged() -> Any:
    placed = order()
    result = tasks.unlogged.enqueue(placed.pk)
    eventually(lambda: Order.objects.get(pk=placed.pk).notes, "it is done")
    try:
        result.refresh()
    except NotImplementedError:
        refreshed = False
    else:
        refreshed = True
    return {"rows": JobLog.objects.filter(pk=result.id).count(), "refreshed": refreshed}


def app_tasks() -> Any:
    order("Grace")
    return {"count": workers.count_orders.call("Grace"), "codec": app.codec.name}


def unreachable() -> Any:
    placed = order()
    with override_settings(GEARTRAIN=NOWHERE):
        try:
            tasks.confirm.enqueue(placed.pk)
        except ConnectionFailed:
            raised = True
    row = JobLog.objects.get(args=[placed.pk])
    kept = [str(row.status), row.handle]
    said = StringIO()
    call_command("geartrain_resubmit", "--older-than", "0", stdout=said)
    eventually(lambda: JobLog.objects.get(pk=row.pk).processed, "it is done after all")
    return {"raised": raised, "kept": kept, "said": said.getvalue()}


def not_run() -> Any:
    from geartrain.integrations.django.backend import GeartrainBackend

    backend = tasks.confirm.get_backend()
    assert isinstance(backend, GeartrainBackend)
    placed = order()
    result = ended(tasks.confirm.enqueue(placed.pk))
    row = JobLog.objects.get(pk=result.id)
    # Once more, as a server does whose worker was lost; and once without its row.
    backend.submit(row, tasks.confirm)
    gone = order()
    with override_settings(GEARTRAIN=NOWHERE):
        try:
            tasks.confirm.enqueue(gone.pk)
        except ConnectionFailed:
            deleted = JobLog.objects.get(args=[gone.pk])
    key = deleted.pk
    deleted.delete()
    deleted.pk = key
    backend.submit(deleted, tasks.confirm)
    eventually(lambda: waiting("shop.tasks.confirm") == 0, "the server has none left")
    placed.refresh_from_db()
    gone.refresh_from_db()
    return {"twice": placed.notes.count("thank you"), "deleted": gone.notes}


def admin() -> Any:
    get_user_model().objects.create_superuser("root", "root@example.org", "secret")
    browser = Client()
    browser.login(username="root", password="secret")
    refused = ended(tasks.refuse.enqueue("once more"))
    listing = browser.get("/admin/geartrain/joblog/?processed__exact=0")
    form = browser.get(f"/admin/geartrain/joblog/{refused.id}/change/")
    answer = browser.post(
        "/admin/geartrain/joblog/",
        {"action": "run_again", "_selected_action": [refused.id]},
        follow=True,
    )
    eventually(lambda: JobLog.objects.get(pk=refused.id).attempts == 2, "it has run again")
    return {
        "listing": [listing.status_code, "shop.tasks.refuse" in listing.content.decode()],
        "form": [form.status_code, "once more" in form.content.decode()],
        "answer": "1 jobs were submitted." in answer.content.decode(),
        "add": browser.get("/admin/geartrain/joblog/add/").status_code,
    }


def misplaced() -> Any:
    from geartrain.integrations.django.framework import InvalidTask, Task

    task = Task(func=order, **{"priority": 0, "queue_name": "default", "backend": "default"})
    try:
        task.enqueue("x")
    except InvalidTask as error:
        return str(error)
    return "enqueued"


def processes() -> Any:
    result = ended(tasks.whoami.enqueue())
    return {"child": result.worker_ids[0].endswith(f":{result.return_value}")} | {
        "pid": result.return_value
    }


def given_up() -> Any:
    """A task that takes the processes along that run it; nobody is left to say so."""
    # Three processes start one after the other.
    result = ended(tasks.vanish.enqueue(), 4.0)
    return [result.status.name, result.attempts, result.errors[-1].exception_class_path]


def said_by(*command: str) -> list[str]:
    said = StringIO()
    call_command(*command, stdout=said)
    return said.getvalue().splitlines()


def listing() -> Any:
    return {
        "all": said_by("geartrain_worker", "--list"),
        "mail": said_by("geartrain_worker", "--list", "--queue=mail"),
        "other": said_by("geartrain_worker", "--list", "--app=auth"),
    }


def pruned() -> Any:
    ended(tasks.mail.enqueue("old@example.org"))
    ended(tasks.refuse.enqueue("kept"))
    JobLog.objects.update(finished_at=timezone.now() - timedelta(days=31))
    new = ended(tasks.mail.enqueue("new@example.org"))
    old = JobLog.objects.filter(processed=True).count() - 1
    said = said_by("geartrain_prune")
    left = set(JobLog.objects.values_list("processed", flat=True))
    said_by("geartrain_prune", "--failed")
    return {
        "said": said == [f"{old} jobs were deleted"],
        "failed are left": left == {True, False},
        "in the end": [str(row.pk) for row in JobLog.objects.exclude(finished_at=None)] == [new.id],
    }


def migrations() -> Any:
    return said_by("makemigrations", "--check", "geartrain")


def retried() -> Any:
    placed = order()
    result = tasks.hesitate.enqueue(placed.pk)
    eventually(lambda: JobLog.objects.get(pk=result.id).processed, "the second attempt went well")
    result.refresh()
    return [str(result.status), result.attempts, result.return_value, len(result.errors)]


def long_one() -> Any:
    result = tasks.rest.enqueue(1.0)

    def runs() -> bool:
        result.refresh()
        return str(result.status) == "RUNNING"

    eventually(runs, "it runs")


def long_one_s_end() -> Any:
    return JobLog.objects.filter(task_path="shop.tasks.rest").latest("enqueued_at").processed


if __name__ == "__main__":
    seen = {name: globals()[name]() for name in sys.argv[1:]}
    sys.stdout.write(json.dumps(seen))
