"""Tasks called through a real server and run by workers of every pool."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import threading

import pytest

from geartrain import App, Client
from geartrain.errors import JobFailed, TaskError
from tests.acceptance.job_server import DEADLINE, eventually
from tests.tasks import shop


def test_a_call_returns_what_the_task_returns(pool: str, app: App) -> None:
    assert shop.add.call(2, b=3) == 5
    assert shop.shout.call("hey", times=2) == "HEYHEY"
    assert shop.fetch.call("u") == "<u>"
    assert shop.reverse.call(b"a\0b") == b"b\0a"
    assert shop.pack.call(b"\xff", 3) == b"\xff\xff\xff"
    assert shop.join_all.call("a", "b", c=1) == "a b c=1"


def test_arguments_and_results_have_the_types_of_the_annotations(pool: str, app: App) -> None:
    result = shop.check_out.call(
        shop.Order(7, ["tea"]), shop.Address("Main St"), by=shop.Customer(name="Ann")
    )
    assert result == shop.Customer(name="Ann of Main St", age=8)


def test_a_generator_streams_what_it_yields(pool: str, app: App) -> None:
    assert list(shop.count.stream(4)) == [0, 1, 2, 3]
    assert shop.count.call(3) == [0, 1, 2]
    assert shop.count_slowly.call(2) == [shop.Order(0), shop.Order(1)]
    events = list(shop.count.submit(2).events(DEADLINE))
    assert [event.value for event in events if event.kind == "data"] == [0, 1]
    assert [tuple(event.progress) for event in events if event.kind == "progress"] == [
        (1, 2),
        (2, 2),
    ]
    assert events[-1].kind == "completed"


def test_a_task_knows_its_job_and_reports_on_it(pool: str, app: App) -> None:
    job = shop.tell.options(unique="key-1").submit()
    assert job.result(DEADLINE) == {"function": "tell", "handle": job.handle, "unique": "key-1"}
    assert job.warnings == ["careful"]
    assert job.data == [{"half": True}]
    assert job.done()


def test_what_a_task_raises_reaches_its_caller_and_the_worker_goes_on(pool: str, app: App) -> None:
    with pytest.raises(TaskError, match="raised ValueError: no such size") as caught:
        shop.explode.call("no such size")
    assert (caught.value.type, caught.value.message) == ("ValueError", "no such size")
    assert not caught.value.rejected
    with pytest.raises(JobFailed):
        shop.give_up.call()
    with pytest.raises(TaskError, match="Reject: bad input") as caught:
        shop.never.call()
    assert caught.value.rejected
    with pytest.raises(TaskError) as caught:
        shop.again.call()
    assert json.loads(caught.value.workload) == {
        "type": "Retry",
        "message": "later",
        "retry": True,
        "retry_after": 7.0,
    }
    with pytest.raises(TaskError, match="SystemExit: 3"):
        shop.leave.call(3)
    assert shop.add.call(1) == 2


@pytest.mark.parametrize(
    ("function", "workload", "message"),
    [
        ("add", b'{"a": "x"}', "argument 'a': Expected `int`, got `str`"),
        ("add", b'{"b": 1}', "missing a required argument: 'a'"),
        ("add", b'{"a": 1, "c": 2}', "unexpected keyword argument 'c'"),
        ("add", b"[1, 2, 3]", "too many positional arguments"),
        ("add", b'"text"', "takes an object of arguments by name"),
        ("add", b'{"a": 1', "can't be read as json"),
        ("add", b"\x81\xa1a\x01", "it looks like msgpack"),
        ("add", pickle.dumps({"a": 1}), "it looks like a pickle, which is refused"),
        ("add", b'{"a": 1, "*next": [{"function": 3}]}', "no list of steps"),
        ("pack", b'{"data": "x"}', "it looks like json"),
        ("unwritable", b"", "the result of task 'unwritable': object can't be written as json"),
    ],
)
def test_input_that_does_not_fit_is_a_clear_error(
    pool: str, app: App, function: str, workload: bytes, message: str
) -> None:
    with Client(app.servers) as client, pytest.raises(Exception, match="raised") as caught:
        client.call(function, workload, timeout=DEADLINE)
    failure = json.loads(caught.value.workload)  # type: ignore[attr-defined]
    assert message in failure["message"]
    assert failure["reject"] is True
    assert shop.add.call(1) == 2


def test_any_client_may_send_arguments_by_name_or_by_position(pool: str, app: App) -> None:
    with Client(app.servers) as client:
        assert client.call("add", b'{"a": 2, "b": 5}') == b"7"
        assert client.call("add", b"[2]") == b"3"
        assert client.call("tell") != b""


def test_a_background_job_has_a_handle_that_can_be_sent(pool: str, app: App) -> None:
    handle = pickle.loads(pickle.dumps(shop.add.delay(1)))
    eventually(lambda: not handle.status().known, "the job has ended")


def test_map_keeps_the_order(pool: str, app: App) -> None:
    assert list(shop.add.map(range(50), max_in_flight=8)) == list(range(1, 51))


def test_a_batch_is_submitted_at_its_end(pool: str, app: App) -> None:
    with app.batch() as batch:
        for number in range(20):
            batch.add(shop.add, number)
        batch.add(shop.shout.options(unique="one"), "x")
        assert batch.handles == []
    assert len({handle.handle for handle in batch.handles}) == 21
    assert [handle.function for handle in batch.handles[-2:]] == ["add", "shout-loudly"]


def test_jobs_side_by_side_are_gathered(pool: str, app: App) -> None:
    jobs = [shop.add.submit(1), shop.explode.submit("x"), shop.fetch.submit("u")]
    results = app.gather(*jobs, timeout=DEADLINE, return_exceptions=True)
    assert (results[0], results[2]) == (2, "<u>")
    assert isinstance(results[1], TaskError)
    with pytest.raises(TaskError):
        app.gather(shop.explode.submit("x"))


def test_a_callback_hears_of_the_end(pool: str, app: App) -> None:
    ended = threading.Event()
    job = shop.add.submit(1)
    job.add_done_callback(lambda ended_job: ended.set() if ended_job is job else None)
    assert ended.wait(DEADLINE)


def test_everything_can_be_awaited(pool: str, app: App) -> None:
    async def life() -> None:
        async with app:
            assert await shop.add.acall(1, b=4) == 5
            job = await shop.tell.asubmit()
            assert (await job)["handle"] == job.handle
            assert job.warnings == ["careful"]
            assert [value async for value in shop.count.astream(3)] == [0, 1, 2]
            assert [value async for value in shop.add.amap(range(9), max_in_flight=4)] == list(
                range(1, 10)
            )
            with pytest.raises(TaskError, match="ValueError: x"):
                await shop.explode.acall("x")
            handle = await shop.add.adelay(1)
            assert handle.function == "add"
            async with app.batch() as batch:
                batch.add(shop.add, 1)
            assert len(batch.handles) == 1

    asyncio.run(life())


def test_a_task_may_print_and_fork(pool: str, app: App) -> None:
    assert shop.print_much.call() == 1
    if pool == "process":
        # Forking a process that has threads is a gamble of its own.
        assert shop.fork.call() != os.getpid()
