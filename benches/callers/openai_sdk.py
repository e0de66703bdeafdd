"""The `openai` package: `AsyncOpenAI`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openai import AsyncOpenAI

from benches.callers.base import Library
from benches.workload import SCHEMA, TEMPERATURE, Idea

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Built once: `parse()` of the package derives it from the class in every call.
_FORMAT = {"type": "json_schema", "json_schema": {"name": "Idea", "strict": True, "schema": SCHEMA}}


class OpenAISDK:
    """One client, with the package's defaults."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.client = self.build()

    async def text(self, model: str, prompt: str) -> str:
        """Request text."""
        reply = await self.client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}], temperature=TEMPERATURE
        )
        text: str = reply.choices[0].message.content
        return text

    async def idea(self, model: str, prompt: str) -> Idea:
        """Request JSON of the schema and validate it with pydantic."""
        reply = await self.client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": prompt}],
            temperature=TEMPERATURE,
            response_format=_FORMAT,
        )
        return Idea.model_validate_json(reply.choices[0].message.content)

    async def pieces(self, model: str, prompt: str) -> AsyncIterator[str]:
        """Request text as a stream."""
        stream = await self.client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}], temperature=TEMPERATURE, stream=True
        )
        async for chunk in stream:
            if chunk.choices and (piece := chunk.choices[0].delta.content):
                yield piece

    async def construct(self) -> None:
        """Construct another client with its own configuration."""
        self.build()

    def build(self) -> AsyncOpenAI:
        """Make a client; it opens no connection."""
        return AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{self.port}/v1")


async def connect(_dialect: str, port: int) -> OpenAISDK:
    """Make the client."""
    return OpenAISDK(port)


LIBRARY = Library(connect, ("openai", "httpx2", "pydantic"))
