"""
A shop's tasks. Run them, with a server, from this directory::

    geartrain dev tasks
    python orders.py
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from geartrain import App, Reject, Retry, current_job

app = App()

# Item -> price in cents.
PRICES = {"tea": 450, "cup": 900}


@dataclass
class Order:
    """What somebody wants."""

    number: int
    items: dict[str, int] = field(default_factory=dict[str, int])


@dataclass
class Bill:
    """What it costs, in cents."""

    order: int
    total: int


@app.task(retention="1d")
def price(order: Order, discount: float = 0.0) -> Bill:
    """Add up an order; an item that is not sold here will never be."""
    try:
        total = sum(PRICES[item] * count for item, count in order.items.items())
    except KeyError as error:
        raise Reject(f"no such item: {error}") from error
    return Bill(order.number, round(total * (1 - discount)))


@app.task(retries=5, backoff="exp(1s, 1m)", timeout="30s", rate="10/s")
async def charge(bill: Bill, *, card: str) -> str:
    """Ask the bank, which is busy at times."""
    await asyncio.sleep(0.01)
    if not card:
        raise Retry("the bank is busy", countdown=10)
    return f"{bill.total} cents from card {card[-4:]}"


@app.task
def pack(order: Order) -> Iterator[str]:
    """Pack one item after the other."""
    for number, item in enumerate(order.items, 1):
        current_job().progress(number, len(order.items))
        yield f"packed {item}"


@app.task
async def track(order: Order) -> AsyncIterator[int]:
    """Count the miles."""
    for mile in range(3):
        await asyncio.sleep(0.01)
        yield mile + order.number


@app.task(codec="raw", unique="args")
def label(address: bytes) -> bytes:
    """Print a label; any language can send the bytes."""
    return b"To: " + address
