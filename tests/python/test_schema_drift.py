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


def as_grammar(value: Any) -> Any:
    """Remove text lengths and bounds of fractions, which grammars of Ollama do not support and the core validates."""
    if isinstance(value, list):
        return [as_grammar(part) for part in value]
    if isinstance(value, dict):
        unknown = {"minimum", "maximum"} if value.get("type") == "number" else {"minLength", "maxLength"}
        return {key: as_grammar(part) for key, part in value.items() if key not in unknown}
    return value


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
    names = [*NAMES[:5], "CriticEvaluations", *NAMES[5:]]
    assert len(STAGES) + 3 == len(names)
    for name, request in zip(names, madspark_simulator.requests, strict=True):
        schema = normal(as_grammar(request.schema), {})
        expected = normal(as_grammar(of_core(name)), {})
        if expected["type"] == "array":
            assert schema.pop("minItems") == schema.pop("maxItems")
            index = schema["items"]["properties"].get("idea_index")
            if index is not None:
                assert index.pop("maximum") + 1 in {2, 5}
        assert schema == expected, name


async def test_the_wire_carries_the_schemas_of_the_reasoning_agents(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama")
    await MultiDimensionalEvaluator(router).aevaluate(["A roof", "A tree"], "Shade")
    for kind in INFERENCE_TYPES:
        await LogicalInferenceEngine(router).ainfer(["A roof", "A tree"], "Shade", inference_type=kind)
    for name, request in zip(REASONING, madspark_simulator.requests, strict=True):
        schema = normal(as_grammar(request.schema), {})
        assert schema.pop("minItems") == schema.pop("maxItems") == 2
        assert schema["items"]["properties"]["idea_index"].pop("maximum") == 1
        assert schema == normal(as_grammar(of_core(name)), {}), name
