"""The Flask example with a real server and a worker."""

from __future__ import annotations

import time

import pytest

from examples import flask_app
from geartrain.tasks.worker import TaskWorker
from tests.client.real_servers import free_port


@pytest.fixture
def browser(job_server, monkeypatch):
    monkeypatch.setattr(flask_app.tasks, "servers", job_server)
    yield flask_app.create_app().test_client()
    flask_app.tasks.close()


@pytest.fixture
def worker(browser):
    with TaskWorker(flask_app.tasks, concurrency=2) as worker:
        assert worker.wait_until_ready(10)
        yield worker


def test_a_request_waits_for_a_quick_task(browser, worker):
    answer = browser.post("/words", data={"text": "to be or not to be"})
    assert answer.get_json() == {"to": 2, "be": 2, "or": 1, "not": 1}


def test_a_report_is_ordered_and_fetched(browser, worker):
    ordered = browser.post("/reports", data={"text": "to be or not to be"})
    assert ordered.status_code == 202
    deadline = time.monotonic() + 10
    while (answer := browser.get(ordered.get_json()["report"])).status_code == 202:
        assert time.monotonic() < deadline
    assert answer.get_json() == {"report": "6 words, 4 of them different"}
    assert browser.get("/reports/other").status_code == 404


def test_a_request_does_not_wait_for_ever(browser, monkeypatch):
    impatient = flask_app.count_words.options(timeout=0.05)
    monkeypatch.setattr(flask_app, "count_words", impatient)
    monkeypatch.setattr(type(impatient), "options", lambda task, **options: task)
    answer = browser.post("/words", data={"text": "to be"})
    assert (answer.status_code, answer.get_json()) == (
        503,
        {"error": "no worker has time at the moment"},
    )


def test_a_server_that_is_not_there_is_an_answer_too(browser, monkeypatch):
    monkeypatch.setattr(flask_app.tasks, "servers", f"127.0.0.1:{free_port()}")
    monkeypatch.setitem(flask_app.tasks.client_options, "patience", 0)
    answer = browser.post("/reports", data={"text": "to be"})
    assert answer.status_code == 503
    assert "no job server could be reached" in answer.get_json()["error"]


def test_without_server_and_worker_tasks_run_where_they_are_called():
    browser = flask_app.create_app().test_client()
    with flask_app.tasks.eager():
        answer = browser.post("/words", data={"text": "to be"})
    assert answer.get_json() == {"to": 1, "be": 1}
