"""
What type checkers refuse. Not to be run: each line that is marked has to be an error,
and they report a mark that is none.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from tasks import Order, app, charge, pack, price

price.call("seven")  # type: ignore[arg-type]
price.call(Order(7), discout=0.5)  # type: ignore[call-arg]
price.delay()  # type: ignore[call-arg]
charge.submit(price(Order(7)))  # type: ignore[call-arg]
price.options(priority="urgent")  # type: ignore[arg-type]
price.call(Order(7)).totl  # type: ignore[attr-defined] # noqa: B018
pack.stream(7)  # type: ignore[arg-type]
with app.batch() as batch:
    batch.add(price, "seven")  # type: ignore[arg-type]


@app.task(retires=5)  # type: ignore[call-overload, untyped-decorator]
def misspelt() -> None: ...
