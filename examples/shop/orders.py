"""
Calls the shop's tasks, every way there is. The types are what a type checker sees.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
from typing import assert_type

from geartrain import TaskHandle, TaskJob
from tasks import Bill, Order, app, charge, label, pack, price, track

ORDER = Order(7, {"tea": 2, "cup": 1})


def blocking() -> None:
    """Call from anywhere."""
    assert_type(price(ORDER), Bill)
    bill = price.call(ORDER, discount=0.5)
    assert_type(bill, Bill)
    print(bill)

    job = charge.submit(bill, card="4000-1234")
    assert_type(job, TaskJob[str])
    assert_type(job.result(timeout=10), str)
    print(job.result())

    handle = price.options(priority="low").delay(ORDER)
    assert_type(handle, TaskHandle[Bill])
    print(handle.function)

    for line in pack.stream(ORDER):
        assert_type(line, str)
        print(line)
    assert_type(pack.call(ORDER), list[str])

    bills = price.map(Order(number, {"tea": number}) for number in range(3))
    print([bill.total for bill in bills])
    print(label.call(b"Main Street").decode())

    with app.batch() as batch:
        for number in range(100):
            batch.add(price, Order(number), discount=0.1)
    print(len(batch.handles))

    chain = price.s(ORDER) | charge.s(card="4000-1234")
    assert_type(chain.call(), str)
    print(chain.call())


async def on_a_loop() -> None:
    """Call from ``async def``."""
    async with app:
        assert_type(await charge(Bill(1, 2), card="1234"), str)
        assert_type(await price.acall(ORDER), Bill)
        job = await charge.asubmit(Bill(7, 100), card="4000-1234")
        assert_type(await job, str)
        print(await job)
        async for mile in track.astream(ORDER):
            assert_type(mile, int)
            print(mile)


if __name__ == "__main__":
    with app:
        blocking()
    asyncio.run(on_a_loop())
