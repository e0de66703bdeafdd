"""A web backend: one router for each request, progress as server-sent events, cancelled when the client leaves.

    pip install fastapi uvicorn
    python examples/fastapi_backend.py
    curl -N localhost:8000/ideas -H 'content-type: application/json' -d '{"topic": "food from city roofs"}'

Two requests can use two providers at the same time; no setting of one reaches the other.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from madspark import AsyncCoordinator, LLMConfig, LLMRouter, MadsparkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logger = logging.getLogger(__name__)

# Read once, immutable. Hosts and keys are settings of the server, not of a request.
SETTINGS = LLMConfig.from_env()

# Proxies close silent connections, and a server notices a disconnected client when it writes.
KEEP_ALIVE_SECONDS = 10.0

app = FastAPI()


class IdeaRequest(BaseModel):
    """The settings a client may choose."""

    topic: Annotated[str, Field(min_length=1, max_length=2000)]
    context: Annotated[str, Field(max_length=10000)] = ""
    top: Annotated[int, Field(ge=1, le=5)] = 3
    provider: Literal["auto", "ollama", "gemini"] = "auto"
    tier: Literal["fast", "balanced", "quality"] = "balanced"
    fallback: bool = True
    enhanced: bool = False


@app.post("/ideas")
async def ideas(request: IdeaRequest) -> StreamingResponse:
    """Stream `progress` events, then one `result` or one `error`."""
    return StreamingResponse(events(request), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def events(request: IdeaRequest) -> AsyncIterator[str]:
    """Run the workflow and yield its events. Closing the generator cancels the run and its model calls."""
    queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
    run = asyncio.create_task(run_workflow(request, queue))
    try:
        while True:
            try:
                event, data = await asyncio.wait_for(queue.get(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield ": still running\n\n"
                continue
            yield f"event: {event}\ndata: {json.dumps(data)}\n\n"
            if event != "progress":
                return
    finally:
        run.cancel()


async def run_workflow(request: IdeaRequest, queue: asyncio.Queue[tuple[str, dict[str, Any]]]) -> None:
    """Run the workflow with a new router; always ends with a `result` or an `error` in the queue."""
    router = LLMRouter(
        primary_provider=request.provider,
        fallback_enabled=request.fallback,
        model_tier=request.tier,
        config=SETTINGS,
    )

    async def progress(message: str, fraction: float) -> None:
        await queue.put(("progress", {"message": message, "progress": fraction}))

    try:
        results = await AsyncCoordinator(progress_callback=progress, router=router).run_workflow(
            request.topic,
            request.context,
            num_top_candidates=request.top,
            enhanced_reasoning=request.enhanced,
        )
    except (MadsparkError, ValueError) as error:
        await queue.put(("error", {"type": type(error).__name__, "message": str(error)}))
    except Exception:
        logger.exception("the workflow failed")
        await queue.put(("error", {"type": "InternalError", "message": "the workflow failed"}))
    else:
        await queue.put(("result", {"results": results, "metrics": router.get_metrics()}))


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=8000)
