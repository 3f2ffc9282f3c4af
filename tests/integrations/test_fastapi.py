"""The FastAPI example with a real server and a worker."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest

from examples import fastapi_app
from geartrain.tasks.worker import TaskWorker
from tests.client.real_servers import free_port


@asynccontextmanager
async def visiting():
    """Open a browser to the application, as it lives on the running loop."""
    transport = httpx.ASGITransport(fastapi_app.web)
    async with (
        fastapi_app.lifespan(fastapi_app.web),
        httpx.AsyncClient(transport=transport, base_url="http://test") as browser,
    ):
        yield browser


@pytest.fixture
def servers(job_server, monkeypatch):
    monkeypatch.setattr(fastapi_app.tasks, "servers", job_server)


@pytest.fixture
def worker(servers):
    with TaskWorker(fastapi_app.tasks, concurrency=4) as worker:
        assert worker.wait_until_ready(10)
        yield worker


def test_models_go_to_the_worker_and_back(worker):
    async def visit():
        async with visiting() as browser:
            answers = await asyncio.gather(
                *(browser.post("/words", json={"text": "be " * count}) for count in range(5))
            )
            refused = await browser.post("/words", json={"txt": ""})
        return [answer.json() for answer in answers], refused.status_code

    counted, refused = asyncio.run(visit())
    assert counted == [{"words": count, "letters": 3 * count} for count in range(5)]
    assert refused == 422


def test_what_a_task_yields_is_passed_on(worker):
    async def visit():
        async with (
            visiting() as browser,
            browser.stream("POST", "/letters", json={"text": "abc"}) as answer,
        ):
            return [line async for line in answer.aiter_lines() if line]

    assert asyncio.run(visit()) == ["data: a", "data: b", "data: c"]


def test_a_job_is_left_to_a_worker(worker):
    async def visit():
        async with visiting() as browser:
            answer = await browser.post("/archive", json={"text": "abc"})
        return answer.status_code, answer.json()["job"]

    status, handle = asyncio.run(visit())
    assert status == 202
    assert handle.startswith("H:")


def test_a_server_that_is_not_there_is_an_answer_too(monkeypatch):
    monkeypatch.setattr(fastapi_app.tasks, "servers", f"127.0.0.1:{free_port()}")
    monkeypatch.setitem(fastapi_app.tasks.client_options, "patience", 0)

    async def visit():
        async with visiting() as browser:
            return await browser.post("/words", json={"text": "be"})

    answer = asyncio.run(visit())
    assert answer.status_code == 503
    assert "no job server could be reached" in answer.json()["error"]
