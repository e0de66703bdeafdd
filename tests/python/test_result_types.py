"""Results, events and responses as pydantic types: described fields, totals at the top, typed ratings, round trips."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from doubles import NAMES, dimensions, inference, numbered_ideas, script
from madspark import AsyncCoordinator, Attempt, LLMResponse, LLMRouter, Restarted, WorkflowResult
from madspark.core.enhanced_reasoning import ReasoningEngine
from madspark.core.events import Event
from madspark.core.ratings import Inference, Rating
from madspark.core.result import Candidate
from madspark.llm import _documents

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

ATTEMPT = Attempt(
    "ollama",
    "gemma3:4b",
    ok=False,
    status=429,
    error="rate_limited",
    usage={"input": 3},
    changes=["fence"],
    retry_after=7.0,
    pages=[{"url": "https://example.org", "status": "success"}],
    omitted=["temperature"],
)
RESPONSE = LLMResponse(
    "hi", "gemini", "m", 7, 1.5, None, cached=True, attempts=[ATTEMPT], finish_reason="length", reasoning="hm"
)
RESTARTED = Restarted("ollama", "gemma3:4b", "disconnected", "the connection was closed")


class Holder(BaseModel):
    """A model of a user's own."""

    response: LLMResponse
    attempts: list[Attempt] = []
    restarted: Restarted | None = None


HOLDER = Holder(response=RESPONSE, attempts=[ATTEMPT], restarted=RESTARTED)


async def result_of(make: Make, simulator: Simulator, **options: Any) -> WorkflowResult:
    script(simulator, "idea_generation", numbered_ideas(*NAMES))
    coordinator = AsyncCoordinator(router=make(primary_provider="ollama", fallback_enabled=False))
    return await coordinator.run("Shade for hot bus stops", enable_novelty_filter=False, **options)


@pytest.mark.parametrize("kind", [WorkflowResult, Event, LLMResponse, Attempt, Restarted])
@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_every_field_of_a_json_schema_is_described(kind: Any, mode: Any) -> None:
    schema = TypeAdapter(kind).json_schema(mode=mode)
    objects = [schema, *schema.get("$defs", {}).values()]
    fields = {
        f"{one.get('title')}.{name}": field for one in objects for name, field in one.get("properties", {}).items()
    }
    assert len(fields) >= 4
    assert [name for name, field in fields.items() if len(field.get("description", "")) < 4] == []


def test_a_client_may_rely_on_what_is_always_there() -> None:
    schema = WorkflowResult.model_json_schema(mode="serialization")
    assert set(schema["required"]) == set(schema["properties"]) >= {"calls", "tokens", "cost", "served_by"}
    candidate = schema["$defs"]["Candidate"]
    assert set(candidate["required"]) == set(candidate["properties"])
    response = TypeAdapter(LLMResponse).json_schema(mode="serialization")
    assert set(response["required"]) == set(response["properties"])
    # Fields of other types of inference are absent.
    assert set(schema["$defs"]["Inference"]["required"]) == {"inference_chain", "conclusion", "confidence"}


async def test_calls_tokens_and_cost_are_at_the_top(madspark_router: Make, madspark_simulator: Simulator) -> None:
    result = await result_of(madspark_router, madspark_simulator)
    for dumped in (result.model_dump(), json.loads(result.model_dump_json())):
        assert (dumped["calls"], dumped["tokens"], dumped["cost"]) == (result.calls, result.tokens, result.cost)
        assert dumped["calls"] == dumped["spent"]["calls"] > 0
        assert dumped["tokens"] > 0
        assert WorkflowResult.model_validate(dumped) == result
    assert WorkflowResult.model_validate_json(result.model_dump_json()) == result
    assert copy.deepcopy(result) == pickle.loads(pickle.dumps(result)) == result  # noqa: S301  # our own bytes


@pytest.mark.parametrize("kind", ["full", "causal", "constraints", "contradiction", "implications"])
async def test_ratings_are_typed_and_read_like_dicts(
    kind: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    script(madspark_simulator, "multi_dimensional", [{"idea_index": at, **dimensions(7, "x")} for at in range(2)])
    script(madspark_simulator, "logical_inference", [{"idea_index": at, **inference("It")} for at in range(2)])
    result = await result_of(
        madspark_router,
        madspark_simulator,
        multi_dimensional_eval=True,
        logical_inference=True,
        reasoning_engine=ReasoningEngine(inference_type=kind),
    )
    for candidate, plain in zip(result.candidates, result.to_dicts(), strict=True):
        rating, inferred = candidate.multi_dimensional_evaluation, candidate.logical_inference
        assert isinstance(rating, Rating)
        assert isinstance(inferred, Inference)
        assert (rating.overall_score, rating.dimension_scores["timeline"]) == (7.0, 7.0)
        assert inferred.conclusion == "It works"
        for typed, name in ((rating, "multi_dimensional_evaluation"), (inferred, "logical_inference")):
            as_dict = plain[name]
            assert type(as_dict) is dict
            assert typed == as_dict
            assert as_dict == typed
            assert dict(typed) == {**typed} == typed.model_dump() == json.loads(typed.model_dump_json()) == as_dict
            assert (list(typed), len(typed), list(typed.keys())) == (list(as_dict), len(as_dict), list(as_dict))
            assert (list(typed.values()), list(typed.items())) == (list(as_dict.values()), list(as_dict.items()))
            assert all(typed[field] == typed.get(field) == value for field, value in as_dict.items())
            assert ("nothing" in typed, typed.get("nothing", 3)) == (False, 3)
            with pytest.raises(KeyError):
                typed["nothing"]
    assert WorkflowResult.model_validate_json(result.model_dump_json()) == result


def test_a_rating_differs_from_another_rating_and_from_other_values() -> None:
    fields: dict[str, Any] = {
        "overall_score": 7.0,
        "weighted_score": 7.0,
        "confidence_interval": 1.0,
        "dimension_scores": {"impact": 7.0},
        "weak_dimensions": [],
        "summary": "Good",
    }
    assert Rating(**fields) == Rating(**fields) == fields
    assert Rating(**fields) != Rating(**{**fields, "summary": "Bad"})
    assert Rating(**fields) != {**fields, "summary": "Bad"}
    assert Rating(**fields) != 7
    with pytest.raises(ValidationError, match="summary"):
        Candidate(idea_index=0, idea="a", text="a", multi_dimensional_evaluation={"overall_score": 7.0})


@pytest.mark.parametrize(
    ("document", "record"),
    [(_documents.Attempt, ATTEMPT), (_documents.LLMResponse, RESPONSE), (_documents.Restarted, RESTARTED)],
)
def test_the_json_form_of_a_record_is_its_dict(document: type[BaseModel], record: Any) -> None:
    assert list(document.model_fields) == list(record.to_dict())
    adapter = TypeAdapter(type(record))
    assert json.loads(adapter.dump_json(record)) == json.loads(json.dumps(record.to_dict())) | (
        {"timestamp": RESPONSE.timestamp.isoformat().replace("+00:00", "Z")} if record is RESPONSE else {}
    )
    for again in (
        adapter.validate_json(adapter.dump_json(record)),
        adapter.validate_python(record.to_dict()),
        adapter.validate_python(adapter.dump_python(record)),
    ):
        assert type(again) is type(record)
        assert again == record
    assert adapter.validate_python(record) is record


def test_a_response_is_a_field_of_a_users_model() -> None:
    assert HOLDER.response is RESPONSE
    for again in (
        Holder.model_validate_json(HOLDER.model_dump_json()),
        Holder.model_validate(HOLDER.model_dump()),
        Holder.model_validate(HOLDER.model_dump(mode="json")),
    ):
        assert again == HOLDER
        assert type(again.response.attempts[0]) is Attempt
        assert again.response.truncated
    with pytest.raises(ValidationError, match="model"):
        Holder.model_validate({"response": {"text": "hi", "provider": "ollama"}})
    with pytest.raises(ValidationError):
        Holder(response="hi")
