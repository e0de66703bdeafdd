"""The JSON Schema validator agrees with an independent one, keyword by keyword and in combination."""

from __future__ import annotations

import importlib
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from madspark.llm._json_schema import JsonSchemaValidator, SchemaMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

# It has no types.
jsonschema: Any = importlib.import_module("jsonschema")

NAMES = ["a", "b", "ab", "x1"]
SCALARS: list[Any] = [None, True, False, -3, 0, 1, 2, 3, 0.0, 1.0, -1.5, 2.5, "", "a", "ab", "x1", "7"]
PATTERNS = ["^a", "b$", "[0-9]", "^.{1,2}$", r"^\w+$"]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


class Generator(random.Random):
    """Generates schemas of every enforced keyword, and values that may match them."""

    def value(self, depth: int = 3) -> Any:
        match self.choice(["scalar", "scalar", "list", "object"]) if depth else "scalar":
            case "list":
                return [self.value(depth - 1) for _ in range(self.randrange(4))]
            case "object":
                return {name: self.value(depth - 1) for name in self.names()}
        return self.choice(SCALARS)

    def names(self) -> list[str]:
        return self.sample(NAMES, self.randrange(4))

    def schema(self, depth: int = 3) -> Any:
        if not depth:
            return self.choice([True, False, {"type": self.choice(TYPES)}])
        keywords = self.sample(sorted(self.arguments(0)), self.choice([1, 1, 2, 3, 4]))
        return {keyword: self.arguments(depth - 1)[keyword]() for keyword in keywords}

    def arguments(self, depth: int) -> dict[str, Callable[[], Any]]:
        def inner() -> Any:
            return self.schema(depth)

        def several() -> list[Any]:
            return [inner() for _ in range(self.randint(1, 3))]

        def named() -> dict[str, Any]:
            return {name: inner() for name in self.names()}

        def count() -> int:
            return self.randrange(4)

        def number() -> float:
            return self.choice([-3, -1, 0, 1, 2, 3, -1.5, 0.0, 2.0])

        return {
            "type": lambda: self.choice([self.choice(TYPES), self.sample(TYPES, 2)]),
            "enum": lambda: [self.value(1) for _ in range(self.randint(1, 4))],
            "const": lambda: self.value(1),
            **dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], number),
            "multipleOf": lambda: self.choice([1, 2, 0.5]),
            **dict.fromkeys(
                ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"], count
            ),
            "pattern": lambda: self.choice(PATTERNS),
            **dict.fromkeys(["items", "contains", "additionalProperties", "propertyNames", "not", "if"], inner),
            **dict.fromkeys(["then", "else"], inner),
            **dict.fromkeys(["prefixItems", "allOf", "anyOf", "oneOf"], several),
            **dict.fromkeys(["properties", "dependentSchemas"], named),
            "patternProperties": lambda: {pattern: inner() for pattern in self.sample(PATTERNS, 2)},
            "uniqueItems": lambda: self.choice([True, False]),
            "required": self.names,
            "dependentRequired": lambda: {name: self.names() for name in self.names()},
        }


def test_it_agrees_with_an_independent_validator() -> None:
    generator = Generator(20_260)
    seen = {True: 0, False: 0}
    for _ in range(4000):
        schema = generator.schema()
        validator, independent = JsonSchemaValidator(schema), jsonschema.Draft202012Validator(schema)
        for _ in range(6):
            value = generator.value()
            is_valid = not validator.errors(value)
            seen[is_valid] += 1
            assert is_valid == independent.is_valid(value), (schema, value)
    assert min(seen.values()) > 5000


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"type": "integer"}, [1, 1.0, 10**30], [1.5, True, "1", None]),
        ({"type": "number"}, [1, 1.5], [True, "1"]),
        ({"enum": [1, "a", None, [1]]}, [1, 1.0, "a", None, [1.0]], [True, False, [True], [1, 2]]),
        ({"const": False}, [False], [0, None, ""]),
        ({"const": {"a": [1]}}, [{"a": [1.0]}], [{"a": [True]}, {"a": [1], "b": 1}]),
        ({"uniqueItems": True}, [[1, True], [1, "1"], [{}, []]], [[1, 1.0], [{"a": 1}, {"a": 1.0}]]),
        ({"uniqueItems": True}, [list(range(50_000))], [[*range(50_000), 49_999.0]]),
        ({"multipleOf": 0.1}, [0.3, 0.7, 1, 1.1, 1e30], [0.35, float("inf")]),
        ({"multipleOf": 3}, [10**40 * 3], [10**40 * 3 + 1]),
        # Patterns are JavaScript's: `$` is the very end, and digits and words are ASCII.
        ({"pattern": "^a$"}, ["a"], ["a\n", "ab"]),
        ({"pattern": r"^\d\w$"}, ["1a"], ["\u0661a", "1é"]),
        ({"pattern": "[$]"}, ["a$"], ["a"]),
        ({"pattern": r"\$[[&&]"}, ["$[", "$&"], ["$"]),
        ({"minLength": 2}, ["éé", "👍👍"], ["é", "👍"]),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"items": {"$ref": "#/$defs/A"}, "type": "array"}}},
            [[], [[], [[]]]],
            [[1]],
        ),
        ({"$ref": "#/x-parts/0", "x-parts": [{"type": "null"}]}, [None], [1]),
        ({"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": {"type": "null"}}}, [None], [1]),
        ({"properties": {"a": {"$ref": "#"}}, "type": "object"}, [{"a": {"a": {}}}], [{"a": {"a": 1}}]),
        ({"$ref": "#/$defs/A", "maximum": 3, "$defs": {"A": {"type": "integer"}}}, [3], [4, 2.5]),
        # Forms of older drafts and of OpenAPI.
        ({"items": [{"type": "string"}], "additionalItems": {"type": "integer"}}, [["a", 1], []], [[1], ["a", "b"]]),
        ({"type": "string", "nullable": True}, ["a", None], [1]),
        ({"contains": {"type": "null"}, "minContains": 2, "maxContains": 3}, [[None, None, 1]], [[None], [None] * 4]),
        ({"contains": {"type": "null"}, "minContains": 0}, [[]], []),
        (
            {"$id": "https://example.org/x", "$schema": "http://json-schema.org/draft-07/schema#", "format": "email"},
            ["x"],
            [],
        ),
    ],
)
def test_edge_cases_of_keywords(schema: dict[str, Any], valid: list[Any], invalid: list[Any]) -> None:
    validator = JsonSchemaValidator(json.loads(json.dumps(schema)))
    for value in valid:
        assert validator.errors(value) == [], value
    for value in invalid:
        assert validator.errors(value), value


@pytest.mark.parametrize(
    ("schema", "value", "errors"),
    [
        ({"type": ["string", "null"]}, 1, ["the answer: must be of type string or null"]),
        ({"properties": {"a": {"items": {"minimum": 3}}}}, {"a": [4, 2]}, ["a.1: must be at least 3"]),
        ({"additionalProperties": False, "properties": {"a": True}}, {"a": 1, "b": 2}, ["b: must not be there"]),
        ({"required": ["a", "b"]}, {}, ["a: is missing", "b: is missing"]),
        # The branch with the fewest errors is reported.
        (
            {"anyOf": [{"type": "string"}, {"required": ["a", "b"]}, {"type": "array"}]},
            {"a": 1},
            ["the answer: must be of type string"],
        ),
        ({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, 3, ["the answer: must fit one of 2 schemas, and fits 2"]),
        (
            {"propertyNames": {"maxLength": 1}},
            {"ab": 1},
            ["ab: must have at most 1 characters (the name)"],
        ),
    ],
)
def test_errors_include_the_path(schema: dict[str, Any], value: Any, errors: list[str]) -> None:
    assert JsonSchemaValidator(schema).errors(value) == errors


@pytest.mark.parametrize("union", ["oneOf", "anyOf"])
def test_nested_unions_take_linear_time(union: str) -> None:
    deeper = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    validator = JsonSchemaValidator({union: [{"type": "integer"}, deeper]})
    valid: Any = 1
    invalid: Any = "x"
    for _ in range(60):
        valid, invalid = {"next": valid}, {"next": invalid}
    assert validator.errors(valid) == []
    assert validator.errors(invalid) == ["the answer: must be of type integer"]


def test_deep_nesting_is_an_error() -> None:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    assert JsonSchemaValidator({"items": {"$ref": "#"}}).errors(value) == ["the answer: nested too deeply"]


@pytest.mark.parametrize(
    "text",
    ["[" * 5000 + "]" * 5000, "1" * 5000, '"\\ud800"', "NaN", "-Infinity", "[1", ""],
    ids=["depth", "digits", "surrogate", "nan", "infinity", "cut", "empty"],
)
def test_text_that_python_cannot_represent_is_a_mismatch(text: str) -> None:
    with pytest.raises(SchemaMismatchError, match="the answer: "):
        JsonSchemaValidator({}).validate_json(text)


@pytest.mark.parametrize("text", ["1" * 4000, '{"a": [1.5, -0, "\\ud83d\\ude00", null, true]}', "1e400"])
def test_json_text_becomes_plain_data(text: str) -> None:
    assert JsonSchemaValidator({}).validate_json(text) == json.loads(text)
