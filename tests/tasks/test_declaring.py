"""Declaring tasks, and calls that fail before a worker hears of them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from geartrain import App, Middleware, Retry, TaskWorker, current_job
from geartrain.errors import CodecError, JobTimeout, ServerError, TaskError, UsageError
from geartrain.tasks import other_words, running
from geartrain.tasks.current import CurrentJob
from geartrain.tasks.limits import seconds_of
from geartrain.tasks.middleware import Call
from geartrain.tasks.policy import policy_option
from geartrain.testing import FakeClock, TestServer, drain
from tests.tasks import shop
from tests.tasks.running import ROOT


def test_a_caller_waits_no_longer_than_it_says(app: App) -> None:
    # No worker runs here.
    with pytest.raises(JobTimeout):
        shop.add.options(timeout=0.05).call(1)


def test_arguments_are_checked_before_they_are_sent(app: App) -> None:
    with pytest.raises(TypeError, match=r"add\(\): missing a required argument: 'a'"):
        shop.add.call()  # type: ignore[call-arg]
    with pytest.raises(CodecError, match=r"arguments of task 'add': .* can't be written as json"):
        shop.add.call(object())  # type: ignore[arg-type]


def test_equal_arguments_make_one_job(server: TestServer, app: App) -> None:
    one, same, other = (
        shop.shout.delay("a"),
        shop.shout.delay(text="a"),
        shop.shout.delay("b"),
    )
    assert one == same
    assert one != other
    one.cancel()
    other.cancel()


def test_a_plain_call_stays_here() -> None:
    assert shop.add(1, b=2) == 3
    assert list(shop.count(2)) == [0, 1]
    assert shop.tell() == {"function": "", "handle": "", "unique": ""}


def test_names_are_taken_once_and_may_have_a_namespace() -> None:
    app = App(namespace="shop")

    @app.task
    def buy() -> None: ...

    assert buy.name == "shop.buy"
    with pytest.raises(UsageError, match="declared already"):
        app.task(lambda: None, name="buy")  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="unknown options of a task: retires"):
        app.task(retires=3)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="unknown options of a call: prio; there are priority"):
        buy.options(prio="high")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="can't be called 'geartrain:result'"):
        App().task(name="geartrain:result")(lambda: None)


def test_pickle_is_refused_unless_it_is_asked_for_in_so_many_words() -> None:
    from geartrain.tasks.pickle_codec import PickleCodec

    for codec in ("pickle", PickleCodec()):
        with pytest.raises(UsageError, match="allow_pickle=True"):
            App(codec=codec)
        with pytest.raises(UsageError, match="allow_pickle=True"):
            App().task(codec=codec)(len)
    app = App(codec="pickle", allow_pickle=True)

    @app.task
    def same(value: object) -> object:
        return value

    with app.eager():
        assert same.call({1, (2, 3)}) == {1, (2, 3)}


def test_an_own_codec_takes_part() -> None:
    class Reprs:
        name = "reprs"

        def dumps(self, value: object) -> bytes:
            return repr(value).encode()

        def loads(self, data: bytes) -> object:
            import ast

            return ast.literal_eval(data.decode())

        def convert(self, value: object, kind: object) -> object:
            return value

    app = App(codec=Reprs())

    @app.task
    def twice(value: complex) -> complex:
        return value * 2

    with app.eager():
        assert twice.call(2j) == 4j


def test_a_task_that_retries_is_submitted_with_a_policy() -> None:
    app = App()

    @app.task(retries=5, backoff="exp(5s, 1h)", timeout="10m", retention="1d")
    def thumbs(url: str) -> None: ...

    option = policy_option(thumbs.name, thumbs.policy, thumbs.limits.hard)
    assert option == (
        b'policy:{"function":"thumbs","poison":3,"retries":5,"backoff":"exp(5s, 1h)",'
        b'"retention":"1d","timeout":605.0}'
    )


def test_a_task_that_says_nothing_is_submitted_with_a_limit_for_poison() -> None:
    assert policy_option("plain", {}, 30.0) == b'policy:{"function":"plain","poison":3}'
    assert policy_option("plain", {"poison": 0}) == b'policy:{"function":"plain","poison":0}'


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", None), ("1m30s", 90.0), ("250ms", 0.25), (2, 2.0), ("x", None)]
)
def test_times_may_be_written_as_text(text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(UsageError, match="give seconds above 0, or text such as"):
            seconds_of("timeout", text)
    else:
        assert seconds_of("timeout", text) == seconds


def test_a_soft_timeout_comes_before_the_hard_one() -> None:
    with pytest.raises(UsageError, match="is to be less than timeout"):
        App().task(soft_timeout=5, timeout=5)


def test_a_worker_takes_the_tasks_that_are_named() -> None:
    worker = TaskWorker(shop.app, queues=["add", "count*"])
    assert [task.name for task in worker.tasks] == ["add", "count", "count_slowly"]
    with pytest.raises(UsageError, match="no task is called 'nothing'; the app has add, "):
        TaskWorker(shop.app, queues=["nothing"])


def test_tasks_that_children_can_not_import_are_refused_before_the_start() -> None:
    app = App()

    @app.task
    def local() -> None: ...

    with pytest.raises(UsageError, match="define it at the top level of a module"):
        TaskWorker(app, pool="process").run()


def test_types_only_type_checkers_know_are_refused_with_advice() -> None:
    app = App()

    @app.task
    def lost(value: Unknown) -> None: ...  # type: ignore[name-defined] # noqa: F821

    with app.eager(), pytest.raises(TaskError, match="importable at run time"):
        lost.call(1)


class Notes(Middleware):
    """Writes down what it is called with."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    def before_submit(self, call: Call) -> None:
        self.notes.append(f"{self.name} before_submit {call.task.name}{call.args}")
        call.kwargs = {**call.kwargs, "by": self.name}

    def after_submit(self, call: Call, handle: str) -> None:
        self.notes.append(f"{self.name} after_submit {handle[:2]}")

    def before_run(self, job: CurrentJob) -> None:
        self.notes.append(f"{self.name} before_run {job.function}")

    def after_run(self, job: CurrentJob, result: object) -> None:
        self.notes.append(f"{self.name} after_run {result}")

    def on_retry(self, job: CurrentJob, error: Retry) -> None:
        self.notes.append(f"{self.name} on_retry {error.countdown}")

    def on_failure(self, job: CurrentJob, error: BaseException) -> None:
        self.notes.append(f"{self.name} on_failure {error}")


@pytest.fixture
def noted() -> Iterator[tuple[App, list[str]]]:
    app = App()
    notes: list[str] = []
    app.add_middleware(Notes("outer", notes))
    app.add_middleware(Notes("inner", notes))
    with app.eager():
        yield app, notes


def test_middlewares_are_called_around_submitting_and_running(
    noted: tuple[App, list[str]],
) -> None:
    app, notes = noted

    @app.task
    def greet(name: str, by: str = "") -> str:
        return f"{name} by {by}"

    assert greet.call("x") == "x by inner"
    assert notes == [
        "outer before_submit greet('x',)",
        "inner before_submit greet('x',)",
        "outer before_run greet",
        "inner before_run greet",
        "inner after_run x by inner",
        "outer after_run x by inner",
        "inner after_submit H:",
        "outer after_submit H:",
    ]


def test_middlewares_hear_of_retries_and_failures(noted: tuple[App, list[str]]) -> None:
    app, notes = noted

    @app.task
    def fail(kind: str, by: str) -> None:
        raise Retry(countdown=3) if kind == "retry" else ValueError(kind)

    for kind in ("retry", "other"):
        with pytest.raises(TaskError):
            fail.call(kind, by="")
    assert [note for note in notes if "on_" in note] == [
        "inner on_retry 3",
        "outer on_retry 3",
        "inner on_failure other",
        "outer on_failure other",
    ]


def test_a_traceback_is_sent_where_the_app_says_so() -> None:
    for send in (False, True):
        app = App(send_tracebacks=send)

        @app.task
        def fail() -> None:
            raise ValueError("here")

        with app.eager(), pytest.raises(TaskError) as caught:
            fail.call()
        assert ("in fail" in caught.value.traceback) is send


def test_a_result_too_large_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_RESULT", 100)
    with shop.app.eager(), pytest.raises(TaskError, match=r"ResultTooLarge.*yield it in parts"):
        shop.enlarge.call(99)


def test_in_eager_mode_what_can_not_be_sent_fails_too() -> None:
    with shop.app.eager():
        assert shop.check_out.delay(
            shop.Order(1), shop.Address("A"), shop.Customer(name="B")
        ).result() == shop.Customer(name="B of A", age=1)
        with pytest.raises(TaskError, match="can't be written as json"):
            shop.unwritable.call()
        handle = shop.add.delay(1)
        assert not handle.status().known
        with pytest.raises(ServerError):
            handle.cancel()
        with pytest.raises(TaskError, match="Expected `int`"):
            shop.add.call("x")  # type: ignore[arg-type]


def test_a_chain_hands_results_on(server: TestServer, app: App) -> None:
    chain = shop.add.s(1) | shop.add.s(b=10) | shop.join_result.s(suffix="!")
    shop.RESULTS.clear()
    handle = chain.delay()
    assert handle.function == "add"
    assert drain(app) == 3
    assert shop.RESULTS == ["12!"]
    with app.eager():
        assert chain.call() == "12!"
        chain.delay()
    assert shop.RESULTS == ["12!", "12!", "12!"]
    with pytest.raises(UsageError, match="can't hand on"):
        (shop.reverse.s(b"x") | shop.add.s()).delay()
    with pytest.raises(TypeError, match="unexpected keyword"):
        (shop.add.s(1) | shop.add.s(c=1)).delay()


def test_delayed_jobs_run_when_the_fake_clock_says_so() -> None:
    clock = FakeClock()
    with TestServer(clock=clock) as server:
        app = App()
        server.connect(app)
        done: list[str] = []

        @app.task
        def note(text: str) -> None:
            done.append(text)
            if text == "first":
                note.delay("second")

        note.options(delay=3600).delay("later")
        note.delay("first")
        assert drain(app) == 2
        assert done == ["first", "second"]
        server.advance(3599)
        assert drain(app) == 0
        server.advance(1)
        assert drain(app) == 1
        assert done[2:] == ["later"]
        app.close()


def test_a_job_at_a_time_is_no_foreground_job(app: App) -> None:
    with pytest.raises(UsageError, match="use delay"):
        shop.add.options(delay=1).call(1)


def test_a_handle_is_small_and_equal_to_its_copy(app: App) -> None:
    handle = shop.add.handle("127.0.0.1:4730", b"H:x:1")
    assert pickle.loads(pickle.dumps(handle)) == handle
    assert repr(handle) == ("TaskHandle(server='127.0.0.1:4730', handle='H:x:1', function='add')")


def test_a_task_finds_its_own_job_only() -> None:
    app = App()

    @app.task(timeout=30)
    def inner() -> str:
        job = current_job()
        assert job.remaining is not None
        assert 29 < job.remaining <= 30
        return job.handle

    @app.task
    def outer() -> list[str]:
        before = current_job().handle
        return [before, inner.call(), current_job().handle]

    with app.eager():
        first, second, third = outer.call()
    assert first == third != second


def test_words_of_other_libraries_are_answered_with_ours(app: App) -> None:
    with pytest.raises(UsageError, match="max_retries; here max_retries is retries; there are"):
        app.task(max_retries=3)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="call: countdown; here countdown is delay; there are"):
        shop.add.options(countdown=3)  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match=r"here apply_async is task\.options\(delay=60\)"):
        shop.add.apply_async((1,))  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"here get is result\(timeout=10\)"):
        shop.add.delay(1).get()  # type: ignore[attr-defined]
    assert not hasattr(shop.add, "nothing_of_the_kind")


@pytest.mark.parametrize(
    "word",
    [
        *other_words.TASK_OPTIONS,
        *other_words.CALL_OPTIONS,
        *other_words.TASK_METHODS,
        *other_words.HANDLE_METHODS,
    ],
)
def test_such_a_word_is_on_the_page(word: str) -> None:
    assert f"`{word}`" in (ROOT / "docs" / "howto" / "coming-from-others.md").read_text()
