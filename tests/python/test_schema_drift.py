"""The schemas of the core match those of `madspark.schemas`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from doubles import STAGES
from madspark import AsyncCoordinator, LLMRouter, _core, schemas
from madspark.agents import (
    Advocate,
    LogicalInferenceEngine,
    MultiDimensionalEvaluator,
    Skeptic,
    StructuredIdeaGenerator,
)
from madspark.agents.logical_inference import INFERENCE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

NAMES = [
    "GeneratedIdeas",
    "CriticEvaluations",
    "AdvocacyBatch",
    "SkepticismBatch",
    "ImprovementBatch",
    "Advocacy",
    "Skepticism",
    "Improvement",
]
REASONING = [
    "DimensionEvaluations",
    "FullInferences",
    "CausalInferences",
    "ConstraintInferences",
    "ContradictionInferences",
    "ImplicationInferences",
]

# Descriptive texts, which may differ.
ANNOTATIONS = {"title", "description", "default"}


def sorted_text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def normal(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Return only fields, types, bounds and required names of a schema, with references resolved."""
    if "$ref" in schema:
        *_, name = schema["$ref"].split("/")
        return normal(root["$defs"][name], root)
    if isinstance(schema.get("type"), list):
        rest = {key: value for key, value in schema.items() if key != "type"}
        schema = {"anyOf": [{**({} if kind == "null" else rest), "type": kind} for kind in schema["type"]]}
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ANNOTATIONS | {"$defs"}:
            continue
        if key == "properties":
            plain[key] = {name: normal(part, root) for name, part in value.items()}
        elif key == "items":
            plain[key] = normal(value, root)
        elif key == "anyOf":
            plain[key] = sorted((normal(part, root) for part in value), key=sorted_text)
        elif key == "required":
            plain[key] = sorted(value)
        else:
            plain[key] = value
    return plain


BOUNDS = {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}


def without_bounds(value: Any) -> Any:
    """Remove the bounds: requests ask for less than the types accept, and not every grammar holds them."""
    if isinstance(value, list):
        return [without_bounds(part) for part in value]
    if isinstance(value, dict):
        return {key: without_bounds(part) for key, part in value.items() if key not in BOUNDS}
    return value


def item_of(name: str) -> Any:
    """Return the schema of one item of a batch, without the index."""
    item = without_bounds(of_core(name))["items"]
    item["properties"].pop("idea_index")
    item["required"].remove("idea_index")
    return item


def check_batch(name: str, schema: Any, count: int) -> None:
    """A batch is an object with a required key for each idea."""
    schema = without_bounds(normal(schema, schema))
    keys = [f"idea_{at}" for at in range(count)]
    assert schema.pop("additionalProperties", False) is False
    item = item_of(name)
    assert schema == {"type": "object", "required": keys, "properties": dict.fromkeys(keys, item)}, name


def of_core(name: str) -> Any:
    schema = json.loads(_core.schema_of(name))
    if schema["type"] == "array":
        # A run always evaluates at least one idea; the pydantic lists also accept empty input.
        assert schema.pop("minItems") == 1
    return normal(schema, schema)


def of_pydantic(name: str) -> Any:
    schema = getattr(schemas, name).model_json_schema()
    return normal(schema, schema)


@pytest.mark.parametrize("name", [*NAMES, *REASONING])
def test_the_core_and_pydantic_agree(name: str) -> None:
    assert of_core(name) == of_pydantic(name)


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="Ideas"):
        _core.schema_of("Ideas")


async def test_the_wire_carries_these_schemas(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama")
    await AsyncCoordinator(router=router).run_workflow("Shade for hot bus stops", enhanced_reasoning=True)
    await Advocate(router).aadvocate("A roof", "", "Shade")
    await Skeptic(router).acriticize("A roof", "", "Shade")
    await StructuredIdeaGenerator(router).aimprove("A roof", "", "", "", "Shade")
    generated, *batches, one, two, three = madspark_simulator.requests
    assert len(batches) == len(STAGES) - 1
    assert generated.schema["minItems"] == generated.schema["maxItems"] == 5
    assert without_bounds(normal(generated.schema, {})) == without_bounds(of_core("GeneratedIdeas"))
    for name, request in zip([*NAMES[2:5]], batches[1:4], strict=True):
        check_batch(name, request.schema, 2)
    for name, request in zip(NAMES[5:], (one, two, three), strict=True):
        assert without_bounds(normal(request.schema, {})) == without_bounds(of_core(name)), name


async def test_the_wire_carries_the_schemas_of_the_reasoning_agents(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama")
    await MultiDimensionalEvaluator(router).aevaluate(["A roof", "A tree"], "Shade")
    for kind in INFERENCE_TYPES:
        await LogicalInferenceEngine(router).ainfer(["A roof", "A tree"], "Shade", inference_type=kind)
    for name, request in zip(REASONING, madspark_simulator.requests, strict=True):
        check_batch(name, request.schema, 2)
