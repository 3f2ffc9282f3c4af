from __future__ import annotations

from geartrain.store.batch import Batch
from geartrain.store.memory import MemoryStore
from tests.store.samples import make_jobs


def test_memory_store_keeps_nothing_and_says_so() -> None:
    store = MemoryStore()
    assert store.name == "memory:"
    assert not store.durable
    assert [store.open(), store.open()] == [1, 2]
    assert not store.commit(Batch(make_jobs(3), [(1, 1, 0)], [2]))
    assert list(store.replay()) == []
    store.close()
    store.close()
