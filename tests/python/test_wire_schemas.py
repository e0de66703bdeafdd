"""Schemas on the wire: the bounds that a server holds are sent, everything else is stated in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from madspark.llm.exceptions import MadsparkError
from raw_server import RawServer, whole
from wire_bytes import (
    EXPECTED,
    PROTOCOLS,
    VALUE,
    VALUE_WAYS,
    Name,
    Way,
    ask,
    ollama,
    router,
    says,
    send,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raw_server import Received


class Bounded(BaseModel):
    """A schema with every kind of bound."""

    tags: Annotated[list[str], Field(min_length=3, max_length=3)]
    age: Annotated[int, Field(ge=1, le=9)]
    above: Annotated[int, Field(gt=2)]
    code: Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{2}$")]
    note: Annotated[str, Field(min_length=2, max_length=40, description="What the gardener noted")]
    kind: Literal["tree", "herb"]
    place: tuple[int, str]


BOUNDED = {
    "tags": ["a", "b", "c"],
    "age": 5,
    "above": 3,
    "code": "ABC-12",
    "note": "fine",
    "kind": "herb",
    "place": [1, "bed"],
}


def schema_of(request: Received) -> Any:
    """Return the schema in the field that the protocol has for it."""
    body = request.json
    if "format" in body:
        return body["format"]
    if "response_format" in body:
        return body["response_format"].get("json_schema", {}).get("schema") or body["response_format"].get("schema")
    if "output_config" in body:
        return body["output_config"]["format"]["schema"]
    return body.get("generationConfig", {}).get("responseJsonSchema")


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Return every object in a schema."""
    if isinstance(schema, dict):
        yield schema
    for value in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else []:
        yield from nodes(value)


def keywords(schema: Any, name: str) -> list[Any]:
    return [node[name] for node in nodes(schema) if name in node and not isinstance(node[name], dict)]


def words(request: Received) -> str:
    """Return all texts of a request that the model reads."""
    body = request.json
    return json.dumps([body.get("messages"), body.get("system"), body.get("systemInstruction"), body.get("contents")])


def structured(name: Name, schema: Any, value: Any, way: Way = "structured") -> Received:
    outcome = ask(name, way, says(name, way, json.dumps(value)), schema=schema)
    assert outcome.error is None, outcome.words
    assert len(outcome.requests) == 1
    return outcome.requests[0]


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_bounds_are_in_the_grammar(name: Name, way: Way) -> None:
    schema = schema_of(structured(name, Bounded, BOUNDED, way))
    assert 3 in keywords(schema, "minItems")
    assert 3 in keywords(schema, "maxItems")
    assert 1 in keywords(schema, "minimum")
    assert 9 in keywords(schema, "maximum")
    assert 40 in keywords(schema, "maxLength")
    patterns = keywords(schema, "pattern")
    assert len(patterns) == 1
    assert "\\d" not in patterns[0]
    assert ["tree", "herb"] in keywords(schema, "enum")


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_the_model_sees_the_schema_where_it_is_only_a_grammar(name: Name, way: Way) -> None:
    request = structured(name, Bounded, BOUNDED, way)
    shown = words(request)
    for word in ("tags", "age", "code", "note", "What the gardener noted", "place"):
        assert word in shown
    # A short form: less than the schema itself.
    assert len(shown) < len(json.dumps(Bounded.model_json_schema())) + 400


class Risky(BaseModel):
    """Bounds that stop a server's process."""

    digits: Annotated[str, Field(pattern=r"^\d+$")]
    spaced: Annotated[str, Field(pattern=r"^\w+\s\w+$")]
    ahead: Annotated[str, Field(json_schema_extra={"pattern": r"^(?=.*a)b?a+$"})]
    lazy: Annotated[str, Field(json_schema_extra={"pattern": r"^a+?$"})]
    word: Annotated[str, Field(json_schema_extra={"pattern": r"^\ba\b$"})]
    long: Annotated[str, Field(max_length=10_000)]
    many: Annotated[list[int], Field(max_length=3_000)]
    real: Annotated[float, Field(ge=0.25, le=0.75)]
    mail: Annotated[str, Field(json_schema_extra={"format": "email"})]


RISKY = {
    "digits": "12",
    "spaced": "a b",
    "ahead": "a",
    "lazy": "a",
    "word": "a",
    "long": "x",
    "many": [1],
    "real": 0.5,
    "mail": "a@b.example",
}


@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_what_stops_a_server_is_not_sent_but_stated(name: Name) -> None:
    request = structured(name, Risky, RISKY)
    schema = schema_of(request)
    for pattern in keywords(schema, "pattern"):
        for part in ("\\d", "\\w", "\\s", "\\b", "(?", "+?"):
            assert part not in pattern
    assert all(bound <= 1_000 for bound in keywords(schema, "maxLength") + keywords(schema, "maxItems"))
    shown = words(request)
    for word in ("10000", "3000", "0.25", "0.75", "email"):
        assert word in shown.replace("10 000", "10000").replace("3 000", "3000"), word


STOPPED = [
    "invalid JSON schema in format",
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error",
    "failed to parse grammar",
]


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize("message", STOPPED)
def test_a_server_that_stops_over_a_schema_gets_a_simpler_one_at_once(message: str, way: Way) -> None:
    with RawServer(whole({"error": message}, 500), *[says("ollama", way, VALUE)] * 4) as server:
        target = router("ollama", server)
        outcome = send(target, way, server)
        assert (outcome.value, outcome.errors) == (EXPECTED, ["schema_rejected", None])
        first, second = server.requests
        assert schema_of(first) != schema_of(second)
        # It is remembered for this schema.
        assert send(target, way, server).value == EXPECTED
        assert len(server.requests) == 3
        assert schema_of(server.requests[2]) == schema_of(second)
        # Another schema of the same target starts with its bounds.
        other = ask("ollama", way, says("ollama", way, json.dumps(BOUNDED)), schema=Bounded).requests[0]
        server.replies = [says("ollama", way, json.dumps(BOUNDED))]
        send(target, way, server, Bounded)
        assert schema_of(server.requests[-1]) == schema_of(other)


@pytest.mark.parametrize(
    "body",
    [
        {
            "error": {
                "message": "Invalid schema for response_format 'Bounded': In context=('properties', 'tags'), "
                "'minItems' "
                "is not permitted.",
                "type": "invalid_request_error",
                "param": "response_format",
                "code": None,
            }
        },
        {"error": {"message": "Unsupported keyword pattern in response_format", "type": "invalid_request_error"}},
        {"error": {"message": "failed to parse grammar", "type": "invalid_request_error", "code": 400}},
        {
            "object": "error",
            "message": "The provided JSON schema contains features not supported by xgrammar.",
            "code": 400,
        },
    ],
)
def test_refused_bounds_are_left_out_and_remembered(body: Any) -> None:
    def answer(request: Received) -> Any:
        if keywords(schema_of(request), "minItems") or keywords(schema_of(request), "pattern"):
            return whole(body, 400)
        return says("openai", "structured", json.dumps(BOUNDED))

    with RawServer(answer) as server:
        target = router("openai", server)
        outcome = send(target, "structured", server, Bounded)
        assert outcome.error is None, outcome.words
        assert outcome.errors[0] == "schema_rejected"
        sent = len(server.requests)
        # What is no longer in the grammar is in words.
        assert "3" in words(server.requests[-1])
        assert send(router("openai", server), "structured", server, Bounded).error is None
        assert len(server.requests) == sent + 1


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_prose_in_place_of_json_restates_the_schema(name: Name, way: Way) -> None:
    prose = says(name, way, "The score is seven, and all is fine.")
    with RawServer(prose, says(name, way, VALUE)) as server:
        target = router(name, server)
        outcome = send(target, way, server)
        assert (outcome.value, len(server.requests)) == (EXPECTED, 2)
        shown = words(server.requests[1])
        assert "score" in shown.replace("The score is seven", "")
        assert "comment" in shown
        # The prompted form worked: the target gets it from now on.
        assert send(target, way, server).value == EXPECTED
        assert "comment" in words(server.requests[2])


class Place(BaseModel):
    place: tuple[int, str, bool]


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_a_tuple_keeps_its_places(name: Name, way: Way) -> None:
    request = structured(name, Place, {"place": [1, "bed", True]}, way)
    place = schema_of(request)["properties"]["place"]
    assert "anyOf" not in json.dumps(place.get("items", {}))
    assert "prefixItems" in place or place.get("type") == "object"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_error_of_a_tuple_says_what_is_wrong(name: Name) -> None:
    wrong = says(name, "structured", '{"place": ["one", 2, "maybe"]}')
    outcome = ask(name, "structured", wrong, says(name, "structured", '{"place": [1, "bed", true]}'), schema=Place)
    assert outcome.value == Place(place=(1, "bed", True))
    repair = outcome.requests[1].body.decode()
    assert "Field required" not in repair
    assert "integer" in repair or "int" in repair


# --- Values that Python or the wire cannot hold

PLAIN = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize(
    "text", ['{"n": ' + "9" * 5_000 + "}", '{"n": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"n": ' + '{"a":' * 50_000]
)
def test_a_value_beyond_pythons_limits_is_a_typed_error(name: Name, text: str) -> None:
    for way in VALUE_WAYS:
        outcome = ask(name, way, says(name, way, text, pieces=[text]), schema=PLAIN, max_attempts=2)
        assert isinstance(outcome.error, MadsparkError)
        assert set(outcome.errors) == {"invalid_output"}


def test_a_reply_with_a_large_number_beside_a_good_value() -> None:
    big = whole(json.dumps({**ollama('{"n": 1}'), "x": 1}).replace('"x": 1', '"x": ' + "9" * 5_000))
    assert ask("ollama", "structured", big, schema=PLAIN).value == {"n": 1}
