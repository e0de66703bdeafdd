"""A web backend: one router for each request, its events as they happen, ended when the client leaves.

    pip install fastapi uvicorn
    python examples/fastapi_backend.py
    curl -N localhost:8000/ideas -H 'content-type: application/json' -d '{"topic": "food from city roofs"}'

Two requests can use two providers at the same time; no setting of one reaches the other.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from madspark import AsyncCoordinator, LLMConfig, LLMRouter, MadsparkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from madspark import WorkflowEvents

logger = logging.getLogger(__name__)

# Read once, immutable. Hosts and keys are settings of the server, not of a request.
SETTINGS = LLMConfig.from_env()

# Proxies close silent connections.
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
    """Stream the events of a run, then one `result` or one `error`."""
    return StreamingResponse(stream(request), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def stream(request: IdeaRequest) -> AsyncIterator[str]:
    """Run the workflow with a new router. If the client leaves, the run ends and its connections close."""
    router = LLMRouter(
        primary_provider=request.provider,
        fallback_enabled=request.fallback,
        model_tier=request.tier,
        config=SETTINGS,
    )
    events = AsyncCoordinator(router=router).events(
        request.topic,
        request.context,
        num_top_candidates=request.top,
        enhanced_reasoning=request.enhanced,
    )
    try:
        async for text in with_comments(events):
            yield text
        result = await events.result()
    except (MadsparkError, ValueError) as error:
        yield sse("error", json.dumps({"type": type(error).__name__, "message": str(error)}))
    except Exception:
        logger.exception("the workflow failed")
        yield sse("error", json.dumps({"type": "InternalError", "message": "the workflow failed"}))
    else:
        yield sse("result", result.model_dump_json())


async def with_comments(events: WorkflowEvents) -> AsyncIterator[str]:
    """Yield the events of a run, and a comment whenever none has come for some seconds."""
    while True:
        try:
            # Giving up one event neither loses it nor ends the run.
            event = await asyncio.wait_for(anext(events), KEEP_ALIVE_SECONDS)
        except TimeoutError:
            yield ": still running\n\n"
        except StopAsyncIteration:
            return
        else:
            yield event.to_sse()


def sse(event: str, data: str) -> str:
    """Return a server-sent event. JSON text has no line breaks."""
    return f"event: {event}\ndata: {data}\n\n"


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=8000)
