"""A web backend: one router for each request, its events as they happen, ended when the client leaves.

    pip install 'madspark[fastapi]' uvicorn
    python examples/fastapi_backend.py
    curl -N 'localhost:8000/ideas?tier=fast' -H 'content-type: application/json' -d '{"topic": "food from city roofs"}'

Two requests can use two providers at the same time; no setting of one reaches the other. Nothing of a request remains
after its response, so there may be any number of worker processes.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import BaseModel, Field

from madspark import AsyncCoordinator, LLMRouter
from madspark.integrations.fastapi import RunEventResponse, add_exception_handlers, lifespan, router_dependency

# The settings are read once, when the server starts. Hosts and keys are settings of the server, not of a request.
app = FastAPI(lifespan=lifespan())
add_exception_handlers(app)

choose_router = router_dependency(choose=["provider", "tier", "fallback"], providers=["auto", "ollama", "gemini"])


class IdeaRequest(BaseModel):
    """The options of a run that a client may choose."""

    topic: Annotated[str, Field(min_length=1, max_length=2000)]
    context: Annotated[str, Field(max_length=10000)] = ""
    top: Annotated[int, Field(ge=1, le=5)] = 3
    enhanced: bool = False


@app.post("/ideas", response_class=RunEventResponse)
async def ideas(request: IdeaRequest, router: Annotated[LLMRouter, Depends(choose_router)]) -> RunEventResponse:
    """Stream the events of a run, with one `result` or one `problem` before the last."""
    events = AsyncCoordinator(router=router).events(
        request.topic,
        request.context,
        num_top_candidates=request.top,
        enhanced_reasoning=request.enhanced,
    )
    # If the client leaves, the run ends and its connections close.
    return RunEventResponse(events, keep_alive=10.0)


if __name__ == "__main__":
    import uvicorn

    # A server waits for open streams before it stops.
    uvicorn.run(app, host="127.0.0.1", port=8000, timeout_graceful_shutdown=10)
