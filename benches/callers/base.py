"""What a way of making a call has to offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from benches.workload import Idea


class Caller(Protocol):
    """A client that speaks one protocol to one upstream, as its users would hold it."""

    async def text(self, model: str, prompt: str) -> str:
        """Ask for text."""

    async def idea(self, model: str, prompt: str) -> Idea:
        """Ask for JSON of the schema, and have pydantic judge it."""

    def pieces(self, model: str, prompt: str) -> AsyncIterator[str]:
        """Ask for text as it comes."""

    async def construct(self) -> None:
        """Make another such client, with a configuration of its own."""


@runtime_checkable
class BlockingCaller(Protocol):
    """A client that can also be waited for."""

    def text_now(self, model: str, prompt: str) -> str:
        """Ask for text."""

    def idea_now(self, model: str, prompt: str) -> Idea:
        """Ask for JSON of the schema, and have pydantic judge it."""


@dataclass(frozen=True, slots=True)
class Library:
    """How to connect, what versions to name, and which protocols are measured."""

    connect: Callable[[str, int], Awaitable[Caller]]
    packages: tuple[str, ...]
    dialects: tuple[str, ...] = ("openai",)
