"""
A FastAPI application that has its slow work done by workers, and shows how they come along.

Start a server, a worker and the application, each in a terminal of its own::

    geartrain serve
    geartrain worker examples.fastapi_app:tasks --pool async
    uvicorn examples.fastapi_app:web

and ask it::

    curl -H 'Content-Type: application/json' -d '{"text": "to be"}' http://127.0.0.1:8000/words
    curl -N -H 'Content-Type: application/json' -d '{"text": "to be"}' \\
        http://127.0.0.1:8000/letters
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from geartrain import App
from geartrain.errors import ConnectionFailed, JobTimeout

# Servers are those of GEARMAN_SERVERS, or one on this machine.
tasks = App()


class Text(BaseModel):
    """What is sent."""

    text: str


class Count(BaseModel):
    """What comes back."""

    words: int
    letters: int


@tasks.task
async def count(text: Text) -> Count:
    """Models travel as they are: they are written as JSON, and read by their annotation."""
    await asyncio.sleep(0)
    return Count(words=len(text.text.split()), letters=len(text.text))


@tasks.task
async def spell(text: Text) -> AsyncIterator[str]:
    """Each value is sent to the caller as it is yielded."""
    for letter in text.text:
        await asyncio.sleep(0)
        yield letter


@tasks.task(retries=3)
async def archive(text: Text) -> None:
    """Nobody waits for this one."""
    await asyncio.sleep(0)


@asynccontextmanager
async def lifespan(web: FastAPI) -> AsyncIterator[None]:
    """Close the connections with the application."""
    async with tasks:
        yield


web = FastAPI(lifespan=lifespan)


@web.post("/words")
async def words(text: Text) -> Count:
    """Wait for a worker's answer; the loop serves others meanwhile."""
    return await count.options(timeout=5.0).acall(text)


@web.post("/letters")
async def letters(text: Text) -> StreamingResponse:
    """Pass on what the worker yields, as server-sent events."""

    async def events() -> AsyncIterator[str]:
        async for letter in spell.astream(text):
            yield f"data: {letter}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@web.post("/archive", status_code=202)
async def keep(text: Text) -> dict[str, str]:
    """Leave it to a worker; the server has it on disk when this returns."""
    handle = await archive.adelay(text)
    return {"job": handle.handle}


@web.exception_handler(ConnectionFailed)
@web.exception_handler(JobTimeout)
async def unavailable(request: Request, error: Exception) -> JSONResponse:
    """Say that there is no server, or no worker with time."""
    return JSONResponse({"error": str(error)}, status_code=503)
