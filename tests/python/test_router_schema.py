"""Classes as schemas: built once, kept no longer than the class, validated by pydantic alone."""

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
    """The requested output."""

    title: str


def test_the_schema_of_a_class_is_built_once_for_all_routers(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    built: list[str] = []

    class Recorded(BaseModel):
        title: str

        @classmethod
        def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
            built.append(cls.__name__)
            return super().model_json_schema(*args, **options)

    class Derived(Recorded):
        more: str

    for provider in PROVIDERS:
        madspark_router(primary_provider=provider).generate_structured("Two ideas", Recorded)
    assert built == ["Recorded"]
    derived, _ = madspark_router(primary_provider="ollama").generate_structured("Two ideas", Derived)
    assert built == ["Recorded", "Derived"]
    assert derived.more
    assert len(madspark_simulator.requests) == 4


def test_a_class_created_for_one_request_is_collected(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    made = create_model("Made", title=(str, ...))
    madspark_router().generate_structured("Two ideas", made)
    alive = weakref.ref(made)
    del made
    gc.collect()
    assert alive() is None
    assert len(madspark_simulator.requests) == 1


def test_classes_with_the_same_name_do_not_share_a_schema(
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


class Shouted(BaseModel):
    """A constraint that JSON Schema cannot express."""

    title: str

    @field_validator("title")
    @classmethod
    def in_capitals(cls, value: str) -> str:
        if value != value.upper():
            raise ValueError("must be in capitals")
        return value


def test_the_validators_of_a_class_run_and_their_messages_reach_the_model(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", json={"title": "quiet"}, times=1)
    madspark_simulator.on("ollama", json={"title": "LOUD"})
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    assert router.generate_structured("One idea", Shouted)[0].title == "LOUD"
    assert "must be in capitals" in madspark_simulator.requests[1].prompt
    madspark_simulator.clear_rules()
    madspark_simulator.on("ollama", json={"title": "quiet"})
    with pytest.raises(SchemaValidationError, match="must be in capitals"):
        router.generate_structured("One idea", Shouted)
