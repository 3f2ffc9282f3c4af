"""The shop's tasks of the other kind: typed, with progress and results while one waits."""

from __future__ import annotations

from geartrain.integrations.django import app
from shop.models import Order


@app.task(name="shop.count_orders")
def count_orders(customer: str) -> int:
    return Order.objects.filter(customer=customer).count()


@app.task(name="shop.annotate")
def annotate(order_id: int, text: str) -> None:
    Order.objects.get(pk=order_id).note(text)
