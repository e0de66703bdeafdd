"""madspark: `LLMRouter`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from benches.callers.base import Library
from benches.workload import TEMPERATURE, Idea
from madspark import LLMConfig, LLMRouter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from madspark import ProviderName

HAS_CACHE = hasattr(LLMConfig, "cache_enabled")
"""Whether this version has a response cache."""


class Ours:
    """One router for each model; the cache is disabled unless `cache` configures it."""

    def __init__(self, dialect: str, port: int, cache: dict[str, Any] | None = None) -> None:
        self.dialect, self.port = dialect, port
        self.cache = cache or ({"cache_enabled": False} if HAS_CACHE else {})
        self.routers: dict[str, LLMRouter] = {}

    async def text(self, model: str, prompt: str) -> str:
        """Request text."""
        text, _ = await self.router(model).agenerate(prompt)
        return text

    async def idea(self, model: str, prompt: str) -> Idea:
        """Request JSON of the schema and validate it with pydantic."""
        idea, _ = await self.router(model).agenerate_structured(prompt, Idea)
        return idea

    def pieces(self, model: str, prompt: str) -> AsyncIterator[str]:
        """Request text as a stream."""
        return self.router(model).astream(prompt)

    async def construct(self) -> None:
        """Construct another client with its own configuration."""
        self.build("another")

    def text_now(self, model: str, prompt: str) -> str:
        """Request text."""
        text, _ = self.router(model).generate(prompt)
        return text

    def idea_now(self, model: str, prompt: str) -> Idea:
        """Request JSON of the schema and validate it with pydantic."""
        idea, _ = self.router(model).generate_structured(prompt, Idea)
        return idea

    def router(self, model: str) -> LLMRouter:
        """Return the router of a model."""
        try:
            return self.routers[model]
        except KeyError:
            return self.routers.setdefault(model, self.build(model))

    def build(self, model: str, key: str | None = None, **arguments: Any) -> LLMRouter:
        """Construct a router with its own configuration."""
        config = LLMConfig(
            ollama_host=f"http://127.0.0.1:{self.port}",
            ollama_model_balanced=model,
            openai_base_url=f"http://127.0.0.1:{self.port}/v1",
            openai_model=model,
            openai_api_key=key,
            **{"default_temperature": TEMPERATURE, **self.cache},
        )
        return LLMRouter(cast("ProviderName", self.dialect), fallback_enabled=False, config=config, **arguments)


async def connect(dialect: str, port: int) -> Ours:
    """Make the client."""
    return Ours(dialect, port)


LIBRARY = Library(connect, ("madspark", "pydantic"), ("openai", "ollama"))
