"""Dictionary schemas, and replies to them, that are meant to take long or to break Python: bounded, typed, repaired."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from madspark import SchemaValidationError
from madspark.llm._json_schema import MAX_ERRORS, JsonSchemaValidator, SchemaMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

TOO_LONG = ["the answer: cannot be validated, because it takes too long"]


def nested(depth: int, end: Any) -> Any:
    """Return `end` within objects of one member."""
    for _ in range(depth):
        end = {"n": end}
    return end


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf", "allOf"])
def test_schemas_that_lead_to_one_value_in_many_ways_validate_it_once(keyword: str) -> None:
    branch = {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "required": ["n"]}
    node = {keyword: [branch, {**branch, "minProperties": 1}]}
    # An end of the recursion.
    node = {"anyOf": [{"type": "integer"}, node]}
    validator = JsonSchemaValidator({"$ref": "#/$defs/N", "$defs": {"N": node}})
    # Twice as many steps for each level would need 2^40.
    found = validator.errors(nested(40, "x"), 5000)
    assert found
    assert found != TOO_LONG
    found = validator.errors(nested(40, 1), 5000)
    assert (found == []) == (keyword != "oneOf")
    assert found != TOO_LONG


def test_a_reply_with_many_errors_reports_the_first_of_them() -> None:
    part = {"items": {"$ref": "#/$defs/T"}}
    validator = JsonSchemaValidator({"allOf": [part] * 30, "$defs": {"T": {"type": "string"}}})
    assert validator.errors([1] * 100) == [f"{index}: must be of type string" for index in range(MAX_ERRORS)]


def test_a_pattern_is_matched_without_backtracking() -> None:
    validator = JsonSchemaValidator({"pattern": "^(a+)+$", "patternProperties": {"^(a|aa)+$": {"type": "null"}}})
    assert validator.errors("a" * 10_000 + "!") == ["the answer: must match ^(a+)+$"]
    assert validator.errors("a" * 10_000) == []
    assert validator.errors({"a" * 3000 + "!": 1, "aaa": 1}) == ["aaa: must be of type null"]


@pytest.mark.parametrize("pattern", ["^(?!a)b", "(?<=a)b", r"(a)\1", "((a{999}){999}){999}", "(", "\ud800"])
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_refused(pattern: str) -> None:
    schemas: list[dict[str, Any]] = [{"pattern": pattern}, {"patternProperties": {pattern: {}}}]
    for schema in schemas:
        with pytest.raises(ValueError, match=r"invalid JSON Schema at #: the pattern .* is not supported: "):
            JsonSchemaValidator(schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"items": {"allOf": [{"minimum": number} for number in range(2000)]}}, list(range(5000, 5600))),
        ({"pattern": "^(a{0,300}b?){40}$"}, "a" * 50_000),
        ({"items": {"enum": [[1] * 2000]}, "additionalItems": True}, [[1] * 2000] * 600),
    ],
    ids=["parts", "pattern", "equality"],
)
def test_a_reply_that_takes_too_many_steps_is_a_mismatch(schema: dict[str, Any], value: Any) -> None:
    assert JsonSchemaValidator(schema).errors(value, 100_000) == TOO_LONG


def test_large_numbers_with_one_hash_are_compared_fast_and_right() -> None:
    modulus = 2**61 - 1
    numbers: list[Any] = [modulus * factor for factor in range(1, 20_000)]
    validator = JsonSchemaValidator({"uniqueItems": True})
    assert validator.errors(numbers) == []
    assert validator.errors([*numbers, modulus * 7]) == ["the answer: has an item twice"]
    assert validator.errors([10**30, 1e30, 2**70]) == []
    assert validator.errors([2**70, float(2**70)]) == ["the answer: has an item twice"]
    assert JsonSchemaValidator({"const": 2**70}).errors(float(2**70)) == []


def test_a_schema_of_many_parts_is_read_or_refused(madspark_router: Callable[..., LLMRouter]) -> None:
    router = madspark_router(primary_provider="ollama")

    def part(index: int) -> dict[str, Any]:
        return {"type": "object", "properties": {"a": {"minimum": -index}, f"p{index}": {"type": "integer"}}}

    value, _ = router.generate_structured("Numbers", {"allOf": [part(index) for index in range(300)]})
    assert len(value) == 301
    definitions = {f"D{index}": {"type": "null"} for index in range(5000)}
    references = [{"$ref": f"#/$defs/{name}"} for name in definitions]
    with pytest.raises(ValueError, match="more than 4000 definitions"):
        router.generate_structured("Nothing", {"type": "array", "prefixItems": references, "$defs": definitions})
    with pytest.raises(ValueError, match="too large"):
        router.generate_structured("Nothing", {"anyOf": [{"const": index} for index in range(20_000)]})


GOOD = '{"a": 3}'

HOSTILE = {
    "deep": '{"a": ' + "[" * 3000 + "]" * 3000 + "}",
    "deep objects": '{"a": ' + '{"a": ' * 150 + "1" + "}" * 151,
    "digits": '{"a": ' + "9" * 5000 + "}",
    "large integer": '{"a": 8' + "9" * 400 + "}",
    "large exponent": '{"a": 1e400}',
    "surrogate": '{"a": "\\ud800"}',
    "name with a surrogate": '{"\\udfff": 1, "a": 1}',
}

SHOWN = [HOSTILE["large integer"], HOSTILE["large exponent"]]
"""The replies of which a stream has shown a part, so that it cannot request another one."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer", "multipleOf": 3, "maximum": 10}},
    "required": ["a"],
    "additionalProperties": {"$ref": "#"},
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
async def test_a_reply_that_python_cannot_hold_is_repaired_in_every_kind_of_call(
    reply: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama")

    async def stream() -> Any:
        async with router.astream_structured("An integer, please.", SCHEMA) as events:
            async for _ in events:
                pass
            return events.value

    async def batch() -> Any:
        (value,), _ = await router.agenerate_structured_batch(["An integer, please."], SCHEMA)
        return value

    async def call() -> Any:
        value, response = await router.agenerate_structured("An integer, please.", SCHEMA)
        assert [attempt.error for attempt in response.attempts] == ["invalid_output", None]
        return value

    for ask in (call, stream, batch):
        madspark_simulator.clear_rules()
        madspark_simulator.on("ollama", text=reply, times=1)
        madspark_simulator.on("ollama", text=GOOD)
        if ask is stream and reply in SHOWN:
            with pytest.raises(SchemaValidationError, match="must be at most 10"):
                await ask()
        else:
            assert await ask() == {"a": 3}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
def test_the_next_provider_is_asked_if_the_repair_fails(
    reply: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", text=reply)
    madspark_simulator.on("gemini", text=GOOD)
    value, response = madspark_router(primary_provider="ollama").generate_structured("An integer, please.", SCHEMA)
    assert value == {"a": 3}
    assert [(attempt.provider, attempt.error) for attempt in response.attempts] == [
        ("ollama", "invalid_output"),
        ("ollama", "invalid_output"),
        ("gemini", None),
    ]


def test_a_long_validation_is_an_invalid_reply(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    parts = [{"minimum": -number} for number in range(1200)]
    madspark_simulator.on("ollama", text=json.dumps(list(range(1000))))
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    with pytest.raises(SchemaValidationError) as caught:
        router.generate_structured("Many numbers", {"type": "array", "items": {"anyOf": [{"allOf": parts}]}})
    assert list(caught.value.faults) == TOO_LONG


def test_text_with_an_absurd_number_is_a_mismatch() -> None:
    with pytest.raises(SchemaMismatchError, match="must be a multiple of 3; a: must be at most 10"):
        JsonSchemaValidator(SCHEMA).validate_json(HOSTILE["large integer"])


@pytest.mark.parametrize("provider", ["ollama", "mock"])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}, "minItems": 100_000_000},
        {
            "type": "array",
            "items": {"type": "array", "items": {"type": "string"}, "minItems": 10**12},
            "minItems": 10**9,
        },
        {"type": "array", "items": {"enum": [1, 2]}, "minItems": 10**8, "uniqueItems": True},
        {"type": "string", "minLength": 10**12},
        {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 10**15},
    ],
    ids=["items", "nested", "unique", "characters", "members"],
)
def test_a_simulated_answer_is_bounded(
    provider: str, schema: dict[str, Any], madspark_router: Callable[..., LLMRouter]
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    with pytest.raises(SchemaValidationError, match="at least"):
        router.generate_structured("Many things", schema)
