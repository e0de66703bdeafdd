"""Ends the work for a client that has left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive

__all__ = ["cancel_on_disconnect"]

_T = TypeVar("_T")

_CLIENT_CLOSED_REQUEST = 499
"""What servers log for such a request. No client sees it."""


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Await `work` for a handler that answers at its end, and cancel it if the client disconnects.

    A server cancels the task of a streamed response, but lets a plain handler run to its end. Cancelling `work` closes
    the connections of its model calls. The context variables of the caller apply to it.

    Read the body of the request before, as FastAPI does for parameters: what had not been read is discarded.

    Raises:
        HTTPException: With status 499 if the client disconnected. `work` has ended by then.
    """
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(disconnected(request.receive))
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        left.result()
    finally:
        await end(task, left)
    raise HTTPException(_CLIENT_CLOSED_REQUEST, "the client disconnected")


async def disconnected(receive: Receive) -> None:
    """Wait until the client disconnects. Discards what it still sends."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel `tasks` and wait until they have ended."""
    running = {task for task in tasks if task.cancel()}
    if running:
        await asyncio.wait(running)
