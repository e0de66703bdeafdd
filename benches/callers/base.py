"""The interface of a measured client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from benches.workload import Idea


class Caller(Protocol):
    """A client for one protocol and one upstream, configured as its users would."""

    async def text(self, model: str, prompt: str) -> str:
        """Request text."""

    async def idea(self, model: str, prompt: str) -> Idea:
        """Request JSON of the schema and validate it with pydantic."""

    def pieces(self, model: str, prompt: str) -> AsyncIterator[str]:
        """Request text as a stream."""

    async def construct(self) -> None:
        """Construct another client with its own configuration."""


@runtime_checkable
class BlockingCaller(Protocol):
    """A client with synchronous methods."""

    def text_now(self, model: str, prompt: str) -> str:
        """Request text."""

    def idea_now(self, model: str, prompt: str) -> Idea:
        """Request JSON of the schema and validate it with pydantic."""


@dataclass(frozen=True, slots=True)
class Library:
    """A library: how to connect, its packages, and its protocols."""

    connect: Callable[[str, int], Awaitable[Caller]]
    packages: tuple[str, ...]
    dialects: tuple[str, ...] = ("openai",)
