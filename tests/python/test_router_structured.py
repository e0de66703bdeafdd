"""Replies become instances of every kind of pydantic model, through every protocol."""

from __future__ import annotations

from datetime import date, datetime  # pydantic reads the annotations
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel

from madspark import SchemaValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

PROVIDERS = ["ollama", "gemini", "openai"]


class Colour(Enum):
    """Strings."""

    RED = "red"
    GREEN = "green"


class Step(BaseModel):
    """A part of others."""

    name: str
    hours: float


class Nested(BaseModel):
    plan: list[Step]
    first: Step


class WithDefaults(BaseModel):
    title: str
    tags: list[str] = Field(default_factory=list)
    count: int = 3
    note: str | None = None


class OldOptional(BaseModel):
    note: Optional[str]  # noqa: UP045  # the spelling is under test
    either: Union[int, str]  # noqa: UP007


class Choices(BaseModel):
    area: Literal["city", "sea", "sky"]
    level: Literal[1, 2]
    colour: Colour


class Mapping(BaseModel):
    scores: dict[str, int]
    steps: dict[str, Step]


class Steps(RootModel[list[Step]]):
    pass


class Scalar(RootModel[int]):
    pass


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float = Field(gt=0)


class Square(BaseModel):
    kind: Literal["square"]
    side: float = Field(gt=0)


class AnyFigure(RootModel[Circle | Square]):
    pass


class Discriminated(BaseModel):
    shape: Annotated[Circle | Square, Field(discriminator="kind")]


class Constrained(BaseModel):
    score: int = Field(ge=1, le=10)
    share: float = Field(gt=0, lt=1)
    even: int = Field(multiple_of=2, ge=100, le=120)
    title: str = Field(min_length=3, max_length=20)
    items: list[str] = Field(min_length=2, max_length=4)


FITTING = {"score": 10, "share": 0.5, "even": 104, "title": "Moss roofs", "items": ["a", "b"]}


class Moments(BaseModel):
    at: datetime
    day: date
    price: Decimal


class Keyed(BaseModel):
    key: UUID


class Tree(BaseModel):
    name: str
    children: list[Tree] = Field(default_factory=list)


class Linked(BaseModel):
    value: int
    next: Linked | None = None


class Pair(BaseModel):
    both: tuple[str, int]
    any_length: tuple[float, ...]
    unique: set[str]


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=False)

    class_name: str = Field(alias="className")
    from_: str = Field(alias="from")


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    title: str
    anything: Any


class Empty(BaseModel):
    pass


class Documented(BaseModel):
    """A docstring with "quotes" and ünïcode."""

    title: str = Field(description="What it is called.", examples=["Moss roofs"])
    großer_titel: str  # noqa: PLC2401  # that is the test


MODELS: list[type[BaseModel]] = [
    Nested,
    WithDefaults,
    OldOptional,
    Choices,
    Mapping,
    Steps,
    Scalar,
    AnyFigure,
    Discriminated,
    Moments,
    Tree,
    Linked,
    Pair,
    Aliased,
    Closed,
    Open,
    Empty,
    Documented,
]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("model", MODELS)
def test_the_first_reply_becomes_an_instance(
    model: type[BaseModel], provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    value, response = router.generate_structured("Two ideas for cooler cities", model)
    assert type(value) is model
    # The text is the JSON that pydantic validated, independent of the form that was sent to the provider.
    assert model.model_validate_json(response.text) == value
    (request,) = madspark_simulator.requests
    assert request.schema is not None
    assert len(response.attempts) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("model", [Nested, WithDefaults, Choices, Moments, Aliased, Documented])
def test_fields_are_sent_in_the_order_of_the_class(
    model: type[BaseModel], provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider=provider).generate_structured("Two ideas", model)
    (request,) = madspark_simulator.requests
    expected = [field.alias or name for name, field in model.model_fields.items()]
    assert list(request.schema["properties"]) == expected


@pytest.mark.parametrize("provider", PROVIDERS)
def test_constraints_are_enforced_even_without_a_keyword(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    """Constraints without a keyword in the dialect go into the description, and pydantic validates them."""
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    madspark_simulator.on(contains="fitting", json=FITTING)
    value, _ = router.generate_structured("a fitting one", Constrained)
    assert value == Constrained.model_validate(FITTING)
    properties = madspark_simulator.requests[0].schema["properties"]
    assert list(properties) == list(FITTING)
    if provider != "ollama":
        assert "exclusiveMaximum: 1" in properties["share"]["description"]
        assert "maxLength: 20" in properties["title"]["description"]
    for field, wrong in {"score": 11, "share": 1.0, "even": 105, "title": "x" * 21, "items": ["a"]}.items():
        madspark_simulator.clear_rules()
        madspark_simulator.on(json={**FITTING, field: wrong})
        with pytest.raises(SchemaValidationError, match=field):
            router.generate_structured("one", Constrained)
    assert len(madspark_simulator.requests) == 1 + 5 * 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_uuid(provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    madspark_simulator.on(json={"key": "12345678-1234-5678-1234-567812345678"})
    value, _ = madspark_router(primary_provider=provider).generate_structured("a key", Keyed)
    assert value.key == UUID(int=0x12345678123456781234567812345678)
    assert "uuid" in str(madspark_simulator.requests[0].schema)


async def test_the_mock_provider_supports_every_model(madspark_router: Callable[..., LLMRouter]) -> None:
    router = madspark_router(primary_provider="mock")
    for model in MODELS:
        assert type((await router.agenerate_structured("Two ideas", model))[0]) is model
