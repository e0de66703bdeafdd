"""The `litellm` package: its `Router`."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

# Without it, importing the package downloads model prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

from benches import workload
from benches.callers.base import Library
from benches.workload import SCHEMA, TEMPERATURE, Idea

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# It logs a line for each call that waits for a connection.
logging.getLogger("LiteLLM").setLevel(logging.ERROR)

_FORMAT = {"type": "json_schema", "json_schema": {"name": "Idea", "strict": True, "schema": SCHEMA}}
_MODELS = (workload.ANSWER_MODEL, workload.BURST_MODEL, workload.SINGLE_MODEL)


class LiteLLMRouter:
    """One router with a deployment for each model, and the package's defaults."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.router = self.build()

    async def text(self, model: str, prompt: str) -> str:
        """Request text."""
        reply = await self.router.acompletion(
            model=model, messages=[{"role": "user", "content": prompt}], temperature=TEMPERATURE
        )
        text: str = reply.choices[0].message.content
        return text

    async def idea(self, model: str, prompt: str) -> Idea:
        """Request JSON of the schema and validate it with pydantic."""
        reply = await self.router.acompletion(
            model=model,
            messages=[{"role": "user", "content": prompt}],
            temperature=TEMPERATURE,
            response_format=_FORMAT,
        )
        return Idea.model_validate_json(reply.choices[0].message.content)

    async def pieces(self, model: str, prompt: str) -> AsyncIterator[str]:
        """Request text as a stream."""
        stream = await self.router.acompletion(
            model=model, messages=[{"role": "user", "content": prompt}], temperature=TEMPERATURE, stream=True
        )
        async for chunk in stream:
            if chunk.choices and (piece := chunk.choices[0].delta.content):
                yield piece

    async def construct(self) -> None:
        """Construct another client with its own configuration."""
        self.build()

    def build(self) -> litellm.Router:
        """Make a router; it opens no connection."""
        base = f"http://127.0.0.1:{self.port}/v1"
        return litellm.Router(
            model_list=[
                {
                    "model_name": model,
                    "litellm_params": {"model": f"openai/{model}", "api_base": base, "api_key": "none"},
                }
                for model in _MODELS
            ]
        )


async def connect(_dialect: str, port: int) -> LiteLLMRouter:
    """Make the client."""
    return LiteLLMRouter(port)


LIBRARY = Library(connect, ("litellm", "openai", "aiohttp", "pydantic"))
