"""
Groups of job servers: each entry's fires go to those of the group it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from geartrain.schedule.dispatching import REFUSED, Dispatcher, News, Order

__all__ = ["Groups"]


class Groups:
    """
    A dispatcher for each group of servers; see `Dispatcher`.

    Args:
        servers: Those of each group; the one without a name is every other entry's.
        tell: Is called with news.

    """

    def __init__(
        self, servers: Mapping[str, Sequence[str]], tell: Callable[[Sequence[News]], None]
    ) -> None:
        self.dispatchers = {name: Dispatcher(some, tell) for name, some in servers.items()}
        self._tell = tell

    def start(self) -> None:
        """Begin. To be called once."""
        for dispatcher in self.dispatchers.values():
            dispatcher.start()

    def stop(self) -> None:
        """End."""
        for dispatcher in self.dispatchers.values():
            dispatcher.stop()

    def submit(self, orders: Sequence[Order]) -> None:
        """Submit orders and listen to them; those of a group that is not known are refused."""
        for dispatcher, some in self._by_group(orders):
            dispatcher.submit(some)
        unknown = [order for order in orders if order.group not in self.dispatchers]
        if unknown:
            self._tell(
                [
                    News(
                        order,
                        REFUSED,
                        reason=f"there is no group of servers {order.group!r} here; "
                        "add it to groups in [scheduler]",
                    )
                    for order in unknown
                ]
            )

    def ask(self, orders: Sequence[Order]) -> None:
        """Ask what has become of orders that nobody listens to."""
        for dispatcher, some in self._by_group(orders):
            dispatcher.ask(some)

    def look(self, orders: Sequence[Order]) -> None:
        """Ask which of the orders that are listened to have been begun."""
        for dispatcher, some in self._by_group(orders):
            dispatcher.look(some)

    def cancel(self, orders: Sequence[Order]) -> None:
        """Take orders out of their servers' waiting lines."""
        for dispatcher, some in self._by_group(orders):
            dispatcher.cancel(some)

    def take_back(self, orders: Sequence[Order]) -> None:
        """Take orders out of the line unless a worker has them."""
        for dispatcher, some in self._by_group(orders):
            dispatcher.take_back(some)

    def send(self, function: str, workload: bytes, group: str = "") -> None:
        """Submit a job that nobody listens to."""
        if group in self.dispatchers:
            self.dispatchers[group].send(function, workload)

    def _by_group(self, orders: Sequence[Order]) -> list[tuple[Dispatcher, list[Order]]]:
        found: dict[str, list[Order]] = {}
        for order in orders:
            found.setdefault(order.group, []).append(order)
        return [
            (self.dispatchers[name], some)
            for name, some in found.items()
            if name in self.dispatchers
        ]
