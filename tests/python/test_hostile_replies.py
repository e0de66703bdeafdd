"""Replies that are meant to be read for long: they are invalid, and calls at the same time are answered as if alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from madspark import DeadlineExceededError, SchemaValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

SIZE = 250_000

HOSTILE = {
    "block comments": ("[/*", ' "*/ x'),
    "block comments in objects": ("{a: 1 /*}", ' "*/ x'),
    "line comments": ("[//", ' "\nx'),
    "hash comments": ("[#", ' "\nx'),
    "typographic quotes": ("[“", "”" * 80_000 + "x"),
    "single quotes": ("[\u2018", "\u2019x"),
    "inner quotes": ('[" "a', '" x'),
    "underscores": ("\\_", '"}'),
    "brackets": ("[{", ""),
    "equal keys": ('"a": [1], ', ""),
    "values": ("[ ]\n", "[1"),
    "tags": ("<think>[\u2018</think>", "\u2019x"),
}


class Idea(BaseModel):
    """The requested output."""

    title: str


@pytest.mark.parametrize(("piece", "end"), HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_reply_is_invalid_and_other_calls_are_answered(
    piece: str, end: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    start = '{"a": "x' if piece == "\\_" else "{" if piece.startswith('"a"') else "Well, "
    madspark_simulator.on("ollama", text=start + piece * (SIZE // len(piece.encode())) + end)
    madspark_simulator.on("gemini", json={"title": "Moss roofs"})
    hostile = madspark_router(primary_provider="ollama", fallback_enabled=False)
    other = madspark_router(primary_provider="gemini", fallback_enabled=False)
    outcome, *ideas = await asyncio.gather(
        hostile.agenerate_structured("An idea", Idea),
        *(other.agenerate_structured(f"Idea {number}", Idea) for number in range(10)),
        return_exceptions=True,
    )
    assert isinstance(outcome, SchemaValidationError), outcome
    assert "does not fit the schema" in str(outcome)
    for idea in ideas:
        assert not isinstance(idea, BaseException), idea
        assert idea[0] == Idea(title="Moss roofs")


def test_a_deadline_ends_the_reading_of_a_hostile_reply(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", text="Well, " + "[\u2018" * 500_000 + "\u2019x")
    router = madspark_router(primary_provider="ollama", fallback_enabled=False, deadline=0.2)
    with pytest.raises((DeadlineExceededError, SchemaValidationError)):
        router.generate_structured("An idea", Idea)
