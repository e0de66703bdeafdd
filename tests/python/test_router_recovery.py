"""Replies that are almost valid JSON: recovered locally if unambiguous, otherwise sent back for repair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, Field

from madspark import AllProvidersFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator


class Idea(BaseModel):
    """The requested output."""

    title: str
    score: int = Field(ge=0, le=10)
    tags: list[str]
    is_new: bool


WANTED = Idea(title="Moss roofs", score=7, tags=["green"], is_new=True)

RECOVERED = {
    "a trailing comma": ('{"title": "Moss roofs", "score": 7, "tags": ["green",], "is_new": true,}', "trailing_comma"),
    "single quotes": ("{'title': 'Moss roofs', 'score': 7, 'tags': ['green'], 'is_new': true}", "quotes"),
    "Python's words": ('{"title": "Moss roofs", "score": 7, "tags": ["green"], "is_new": True}', "literal"),
    "bare keys": ('{title: "Moss roofs", score: 7, tags: ["green"], is_new: true}', "unquoted_key"),
    "a comment": ('{"title": "Moss roofs", "score": 7, // good\n "tags": ["green"], "is_new": true}', "comment"),
    "a lone item": ('{"title": "Moss roofs", "score": 7, "tags": "green", "is_new": true}', "item_to_list"),
    "a missing closer": ('{"title": "Moss roofs", "score": 7, "is_new": true, "tags": ["green"]', "missing_closer"),
}


@pytest.mark.parametrize("name", RECOVERED)
async def test_an_unambiguous_reply_is_recovered_without_another_request(
    name: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    text, change = RECOVERED[name]
    madspark_simulator.on("ollama", text=f"Here you are:\n```json\n{text}\n```\nAnything else?")
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    for answer in (
        router.generate_structured("Name an idea.", Idea),
        await router.agenerate_structured("Name an idea.", Idea),
    ):
        idea, response = answer
        assert idea == WANTED
        (attempt,) = response.attempts
        assert (attempt.ok, attempt.error) == (True, None)
        assert change in attempt.changes
        assert attempt.to_dict()["changes"] == list(attempt.changes)
    assert len(madspark_simulator.requests) == 2


def test_a_valid_reply_is_not_changed(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", json=WANTED.model_dump())
    _, response = madspark_router(primary_provider="ollama").generate_structured("Name an idea.", Idea)
    assert response.attempts[0].changes == ()


@pytest.mark.parametrize("text", ['{"title": "Moss ro', '{"title": "Moss roofs", "score": 7, "tags": ["gre'])
def test_a_truncated_value_is_sent_back_for_repair(
    text: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", text=text, times=1)
    madspark_simulator.on("ollama", json=WANTED.model_dump())
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    idea, response = router.generate_structured("Name an idea.", Idea)
    assert idea == WANTED
    assert [attempt.ok for attempt in response.attempts] == [False, True]
    # The repair request contains the reply of the model, not the recovered text.
    assert text in str(madspark_simulator.requests[1].json)


def test_a_recovered_reply_that_pydantic_rejects_is_invalid(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    written = '{"title": "Moss roofs", "score": 70, "tags": ["green"], "is_new": true,}'
    madspark_simulator.on("ollama", text=written)
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    with pytest.raises(AllProvidersFailedError) as caught:
        router.generate_structured("Name an idea.", Idea)
    assert len(madspark_simulator.requests) == 2
    assert written in str(madspark_simulator.requests[1].json)
    assert [attempt.error for attempt in caught.value.attempts] == ["invalid_output"] * 2
