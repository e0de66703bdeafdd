"""A class of the caller as schema: made once, kept no longer than the class, judged by pydantic alone."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, create_model, field_validator

from madspark import SchemaValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

PROVIDERS = ["ollama", "gemini", "openai"]


class Titled(BaseModel):
    """What is asked for."""

    title: str


def test_a_classs_schema_is_made_once_whatever_the_router(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    made: list[str] = []

    class Watched(BaseModel):
        title: str

        @classmethod
        def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
            made.append(cls.__name__)
            return super().model_json_schema(*args, **options)

    class Heir(Watched):
        more: str

    for provider in PROVIDERS:
        madspark_router(primary_provider=provider).generate_structured("Two ideas", Watched)
    assert made == ["Watched"]
    heir, _ = madspark_router(primary_provider="ollama").generate_structured("Two ideas", Heir)
    assert made == ["Watched", "Heir"]
    assert heir.more
    assert len(madspark_simulator.requests) == 4


def test_a_class_made_for_one_request_goes_with_it(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    made = create_model("Made", title=(str, ...))
    madspark_router().generate_structured("Two ideas", made)
    alive = weakref.ref(made)
    del made
    gc.collect()
    assert alive() is None
    assert len(madspark_simulator.requests) == 1


def test_two_classes_of_one_name_do_not_share_a_schema(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    one, other = create_model("Same", title=(str, ...)), create_model("Same", score=(int, ...))
    for model in (one, other, one):
        assert type(madspark_router().generate_structured("Two ideas", model)[0]) is model
    assert [list(request.schema["properties"]) for request in madspark_simulator.requests] == [
        ["title"],
        ["score"],
        ["title"],
    ]


class Judged(BaseModel):
    """What no JSON Schema says."""

    title: str

    @field_validator("title")
    @classmethod
    def shouted(cls, value: str) -> str:
        if value != value.upper():
            raise ValueError("must be in capitals")
        return value


def test_validators_of_the_class_judge_and_their_words_reach_the_model(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", json={"title": "quiet"}, times=1)
    madspark_simulator.on("ollama", json={"title": "LOUD"})
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    assert router.generate_structured("One idea", Judged)[0].title == "LOUD"
    assert "must be in capitals" in madspark_simulator.requests[1].prompt
    madspark_simulator.clear_rules()
    madspark_simulator.on("ollama", json={"title": "quiet"})
    with pytest.raises(SchemaValidationError, match="must be in capitals"):
        router.generate_structured("One idea", Judged)
