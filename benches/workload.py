"""The prompts and answers, the same for every client."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterator

DIALECTS: Final = {"openai": "/v1/chat/completions", "ollama": "/api/chat"}
"""The path of each protocol."""

# The upstream answers by the model's name.
ANSWER_MODEL = "bench-answer"
"""Answers immediately with an idea."""
BURST_MODEL = "bench-burst"
"""Streams many small chunks, as many at a time as the socket accepts."""
SINGLE_MODEL = "bench-single"
"""Streams the same chunks one by one."""
FAILING_MODEL = "bench-failing"
"""Answers with status 500."""
REFUSED_MODEL = "bench-refused"
"""Answers with status 400."""
SILENT_MODEL = "bench-silent"
"""Never answers."""
MISFIT_MODEL = "bench-misfit"
"""Answers with JSON that does not match the schema."""

TEMPERATURE = 0.7


class Idea(BaseModel):
    """The structured answer."""

    # Valid in OpenAI's strict mode, so that no library has to rewrite the schema.
    model_config = ConfigDict(extra="forbid")

    title: str
    score: float
    reasons: list[str]


SCHEMA: dict[str, Any] = Idea.model_json_schema()
ANSWER = json.dumps({"title": "Moss walls", "score": 7.5, "reasons": ["They cool the street.", "They need no soil."]})
STORIES: Final = {
    model: tuple(f"word{number:03} " for number in range(chunks))
    for model, chunks in ((BURST_MODEL, 1000), (SINGLE_MODEL, 250))
}
"""The text of each chunk of a stream."""


def prompts() -> Iterator[str]:
    """Yield different prompts of equal length, so that no cache can answer."""
    words = "Name one idea for a greener street, with a title, a score and some reasons."
    return (f"{words} {number:09}" for number in count())


class WrongAnswerError(Exception):
    """An answer was wrong."""


def check(right: bool) -> None:
    """Abort the measurement if an answer is wrong."""
    if not right:
        raise WrongAnswerError("an answer is not the upstream's")
