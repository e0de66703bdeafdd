"""Every type that pydantic can validate works as a schema with every provider, and so does a JSON Schema."""

from __future__ import annotations

import copy
import dataclasses
import gc
import json
import weakref
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, Field, RootModel, TypeAdapter
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict

from madspark import AllProvidersFailedError, SchemaValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

    Routers = Callable[..., LLMRouter]

PROVIDERS = ["ollama", "gemini", "openai", "anthropic"]


class Idea(BaseModel):
    """A model."""

    title: str
    score: int = Field(ge=0, le=10)


class Ideas(RootModel[list[Idea]]):
    """A root model."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A dataclass of the standard library."""

    name: str
    floors: int = 1
    built: date | None = None


@pydantic_dataclass
class Slot:
    """A dataclass of pydantic."""

    start: Annotated[int, Field(ge=0, le=23)]
    ideas: list[Idea]


class Note(TypedDict, total=False):
    """A dictionary with known keys."""

    text: str
    stars: int


class Pair(NamedTuple):
    """A tuple with names."""

    left: str
    right: int


class Colour(Enum):
    """An enumeration."""

    RED = "red"
    GREEN = "green"


IDEA = {"title": "Moss", "score": 3}

TYPED: list[tuple[Any, Any, Any]] = [
    (Idea, IDEA, Idea(title="Moss", score=3)),
    (Ideas, [IDEA], Ideas([Idea(title="Moss", score=3)])),
    (list[Idea], [IDEA], [Idea(title="Moss", score=3)]),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (dict[Colour, list[Place]], {"red": [{"name": "x"}]}, {Colour.RED: [Place("x")]}),
    (set[str], ["a", "b"], {"a", "b"}),
    (tuple[str, int], ["a", 1], ("a", 1)),
    (Idea | Place, {"name": "Roof", "floors": 2}, Place("Roof", 2)),
    (Idea | None, None, None),
    (Annotated[int, Field(ge=5)], 7, 7),
    (Literal["yes", "no"], "no", "no"),
    (Colour, "green", Colour.GREEN),
    (Place, {"name": "Roof", "floors": 2, "built": "2020-02-29"}, Place("Roof", 2, date(2020, 2, 29))),
    (Slot, {"start": 4, "ideas": [IDEA]}, Slot(start=4, ideas=[Idea(title="Moss", score=3)])),
    (Note, {"text": "x"}, {"text": "x"}),
    (Pair, ["a", 1], Pair("a", 1)),
    (TypeAdapter(list[Place]), [{"name": "Roof"}], [Place("Roof")]),
    (TypeAdapter(Annotated[str, Field(min_length=2)]), "ab", "ab"),
    (bool, True, True),
    (date, "2024-01-31", date(2024, 1, 31)),
]


def document() -> dict[str, Any]:
    """Return a new copy of a JSON Schema."""
    return {
        "title": "Plan",
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Z]", "maxLength": 9},
            "steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}, "minItems": 1},
        },
        "required": ["name", "steps"],
        "additionalProperties": False,
        "$defs": {
            "Step": {
                "type": "object",
                "properties": {"hours": {"type": "number", "multipleOf": 0.5}},
                "required": ["hours"],
            }
        },
    }


PLAN = {"name": "Roof", "steps": [{"hours": 1.5}, {"hours": 2}]}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("schema", "written", "value"), TYPED, ids=[repr(case[0])[:60] for case in TYPED])
def test_a_value_of_the_type_is_returned(
    schema: Any, written: Any, value: Any, provider: str, madspark_router: Routers, madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    madspark_simulator.on(text=json.dumps(written))
    answer, response = router.generate_structured("one", schema)
    assert answer == value
    assert type(answer) is type(value)
    assert json.loads(response.text) == written
    (request,) = madspark_simulator.requests
    assert request.schema is not None


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_json_schema_returns_plain_data(
    provider: str, madspark_router: Routers, madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    madspark_simulator.on(json=PLAN)
    answer, response = router.generate_structured("a plan", document())
    assert answer == json.loads(response.text) == PLAN
    assert "Step" in json.dumps(madspark_simulator.requests[0].json) or provider == "ollama"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_errors_against_a_json_schema_are_sent_back(
    provider: str, madspark_router: Routers, madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    wrong = {"name": "roof", "steps": [{"hours": 1.5}, {"hours": 1.7}, {}]}
    madspark_simulator.on(json=wrong, times=1)
    madspark_simulator.on(json=PLAN)
    answer, response = router.generate_structured("a plan", document())
    assert answer == PLAN
    assert [attempt.error for attempt in response.attempts] == ["invalid_output", None]
    complaint = json.dumps(madspark_simulator.requests[1].json)
    faults = ["name: must match ^[A-Z]", "steps.1.hours: must be a multiple of 0.5", "steps.2.hours: is missing"]
    assert all(fault in complaint for fault in faults)
    madspark_simulator.clear_rules()
    madspark_simulator.on(json=wrong)
    with pytest.raises(SchemaValidationError) as failure:
        router.generate_structured("a plan", document())
    assert list(failure.value.faults) == faults


def test_a_reply_for_a_json_schema_is_repaired_without_another_request(
    madspark_router: Routers, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(text="Here it is: {name: 'Roof', 'steps': [{'hours': '1.5'},]}")
    answer, response = madspark_router(primary_provider="ollama").generate_structured("a plan", document())
    assert answer == {"name": "Roof", "steps": [{"hours": 1.5}]}
    assert response.attempts[0].changes
    assert len(madspark_simulator.requests) == 1


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ({"unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"$dynamicRef": "#x"}, "dynamicRef"),
        ({"minlength": 2}, "minlength"),
        ({"pattern": "^(?!a)"}, "pattern"),
        ({"pattern": "("}, "pattern"),
        ({"minLength": "2"}, "minLength"),
        ({"exclusiveMinimum": True, "minimum": 1}, "exclusiveMinimum"),
        ({"multipleOf": 0}, "multipleOf"),
        ({"enum": "ab"}, "enum"),
        ({"required": "a"}, "required"),
        ({"type": "str"}, "type"),
        ({"$ref": "#/$defs/Missing"}, "Missing"),
        ({"$ref": "other.json"}, "other.json"),
        ({"anyOf": []}, "anyOf"),
        ({"not": 3}, "not"),
        ({"default": float("nan")}, "JSON"),
        ({"default": {1, 2}}, "JSON"),
    ],
)
def test_an_unsupported_json_schema_is_rejected_before_anything_is_sent(
    part: dict[str, Any], fault: str, madspark_router: Routers, madspark_simulator: Simulator
) -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, part]}}}
    with pytest.raises(ValueError, match=fault):
        madspark_router().generate_structured("hello", schema)
    assert madspark_simulator.requests == []


def test_a_changed_json_schema_is_compiled_again(madspark_router: Routers, madspark_simulator: Simulator) -> None:
    schema = document()
    before = copy.deepcopy(schema)
    router = madspark_router(primary_provider="openai", fallback_enabled=False)
    madspark_simulator.on(json=PLAN)
    assert router.generate_structured("a plan", schema)[0] == PLAN
    assert schema == before
    schema["properties"]["name"]["pattern"] = "^X"
    with pytest.raises(SchemaValidationError, match=r"name: must match \^X"):
        router.generate_structured("a plan", schema)


def test_schemas_of_many_requests_do_not_accumulate(madspark_router: Routers) -> None:
    from madspark.llm import _output

    router = madspark_router(primary_provider="mock")
    for number in range(_output.MAX_CACHED_SCHEMAS + 40):
        answer, _ = router.generate_structured(
            "one", {"type": "object", "properties": {f"p{number}": {"type": "null"}}}
        )
        assert answer == {f"p{number}": None}
    assert _output._adapter_of_json_schema.cache_info().currsize == _output.MAX_CACHED_SCHEMAS


def test_types_of_one_request_are_freed_with_it(madspark_router: Routers) -> None:
    def generate() -> list[weakref.ref[Any]]:
        made: Any = dataclasses.make_dataclass("Made", [("title", str)])
        adapter: TypeAdapter[Any] = TypeAdapter(list[made])
        router = madspark_router(primary_provider="mock")
        for schema in (made, adapter, list[made], dict[str, made]):
            router.generate_structured("Two ideas", schema)
        return [weakref.ref(made), weakref.ref(adapter)]

    alive = generate()
    gc.collect()
    assert [reference() for reference in alive] == [None, None]


def test_the_schema_of_a_class_or_an_adapter_is_built_once(madspark_router: Routers) -> None:
    made: list[str] = []

    @dataclasses.dataclass
    class Watched:
        title: str

        @classmethod
        def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> Any:
            made.append(cls.__name__)
            return handler(core)

    router = madspark_router(primary_provider="mock")
    adapter = TypeAdapter(list[Watched])
    for _ in range(3):
        router.generate_structured("Two ideas", Watched)
    assert len(made) == 1
    for _ in range(3):
        router.generate_structured("Two ideas", adapter)
    assert len(made) == 2


async def test_coroutines_and_batches_accept_every_kind_of_schema(
    madspark_router: Routers, madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    madspark_simulator.on(json=[IDEA])
    ideas = [Idea(title="Moss", score=3)]
    assert (await router.agenerate_structured("one", list[Idea]))[0] == ideas
    assert (await router.agenerate_structured_batch(["one", "two"], TypeAdapter(list[Idea])))[0] == [ideas, ideas]
    answers, _ = await router.agenerate_structured_batch(["one", "two"], {"type": "array", "items": {"type": "object"}})
    assert answers == [[IDEA], [IDEA]]


def test_a_synchronous_batch_accepts_a_dataclass(madspark_router: Routers, madspark_simulator: Simulator) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    madspark_simulator.on(json={"name": "Roof"})
    assert router.generate_structured_batch(["one", "two"], Place)[0] == [Place("Roof"), Place("Roof")]


def test_validation_errors_of_pydantic_are_sent_back(madspark_router: Routers, madspark_simulator: Simulator) -> None:
    router = madspark_router(primary_provider="openai", fallback_enabled=False)
    madspark_simulator.on(json=[{"title": "Moss", "score": 30}], times=1)
    madspark_simulator.on(json=[IDEA])
    assert router.generate_structured("ideas", list[Idea])[0] == [Idea(title="Moss", score=3)]
    assert "0.score: Input should be less than or equal to 10" in madspark_simulator.requests[1].prompt
    madspark_simulator.clear_rules()
    madspark_simulator.on(json=[{"title": "Moss", "score": 30}])
    with pytest.raises(AllProvidersFailedError, match=r"0\.score"):
        router.generate_structured("ideas", list[Idea])


class Plain:
    """A class that pydantic cannot validate."""


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ("Idea", "'Idea'"),
        (None, "None"),
        (3, "3"),
        (Idea(title="x", score=1), "Idea"),
        (BaseModel, "BaseModel"),
        (RootModel, "RootModel"),
        (Plain, "Plain"),
        (Plain(), "Plain"),
        (list["Nowhere"], "Nowhere"),  # type: ignore[name-defined]  # noqa: F821
        (print, "print"),
        ([Idea], "Idea"),
    ],
)
def test_an_unsupported_schema_is_rejected_with_its_name(
    schema: Any, named: str, madspark_router: Routers, madspark_simulator: Simulator
) -> None:
    with pytest.raises(TypeError, match="schema must be") as refusal:
        madspark_router().generate_structured("hello", schema)
    assert named in str(refusal.value)
    assert madspark_simulator.requests == []
