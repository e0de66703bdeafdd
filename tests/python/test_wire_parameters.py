"""Parameters that a server refuses: left out or renamed, asked again at once, and remembered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from madspark import Coordinator
from madspark.testing import Simulator
from raw_server import RawServer, Reply, whole
from wire_bytes import VALUE, WAYS, Name, Way, ask, router, says, send

if TYPE_CHECKING:
    from raw_server import Received

MAX_TOKENS = {
    "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    "'max_completion_tokens' instead.",
    "type": "invalid_request_error",
    "param": "max_tokens",
    "code": "unsupported_parameter",
}
TEMPERATURE = {
    "message": "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is "
    "supported.",
    "type": "invalid_request_error",
    "param": "temperature",
    "code": "unsupported_value",
}


def refuse(error: Any) -> Reply:
    return whole({"error": error}, 400)


def reasoning_model(text: str) -> Any:
    """Return a server whose model takes neither a temperature nor `max_tokens`, one complaint at a time."""

    def answer(request: Received) -> Reply:
        body = request.json
        if "max_tokens" in body:
            return refuse(MAX_TOKENS)
        if "temperature" in body:
            return refuse(TEMPERATURE)
        return says("openai", "stream" if body.get("stream") else "whole", text)

    return answer


@pytest.mark.parametrize("way", WAYS)
def test_a_reasoning_model_costs_one_extra_request_in_all(way: Way) -> None:
    with RawServer(reasoning_model(VALUE)) as server:
        target = router("openai", server)
        for count in (2, 3, 4):
            outcome = send(target, way, server, temperature=0.7, max_tokens=900)
            assert outcome.error is None, outcome.words
            assert len(server.requests) == count
        last = server.requests[-1].json
        assert last["max_completion_tokens"] == 900
        assert not {"temperature", "max_tokens"} & last.keys()
        assert send(router("openai", server), way, server).error is None
        assert len(server.requests) == 5


TEMPERATURE_REFUSALS: list[tuple[int, Any]] = [
    (400, {"error": TEMPERATURE}),
    (400, {"error": {**TEMPERATURE, "param": None, "code": None}}),
    (400, {"error": {"message": "Unsupported parameter: 'temperature' is not supported with this model."}}),
    (400, {"error": {"message": "temperature is not supported for this model", "code": 400}}),
    (400, {"detail": "`temperature` is not supported by reasoning models."}),
    (
        422,
        {
            "detail": [
                {"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}
            ]
        },
    ),
    (
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": json.dumps({"error": TEMPERATURE})},
            }
        },
    ),
    (400, {"object": "error", "message": "temperature: Extra inputs are not permitted", "type": "x", "code": 400}),
    (400, {"error": {"message": "litellm.UnsupportedParamsError: m does not support parameters: ['temperature']"}}),
    (400, {"error": {"message": "Invalid 'temperature': only 1 is allowed for this model", "type": "x"}}),
    (
        400,
        {
            "error": {
                "message": "Unknown parameter: 'temperature'.",
                "param": "temperature",
                "code": "unknown_parameter",
            }
        },
    ),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("status", "body"), TEMPERATURE_REFUSALS)
def test_a_refused_temperature_is_left_out(status: int, body: Any, way: Way) -> None:
    with RawServer(whole(body, status), says("openai", way, VALUE)) as server:
        target = router("openai", server)
        outcome = send(target, way, server, temperature=0.7)
        assert outcome.error is None, outcome.words
        first, second = (request.json for request in server.requests)
        assert first["temperature"] == 0.7
        assert "temperature" not in second
        assert {key: value for key, value in first.items() if key != "temperature"} == second
        # The target remembers it, for other routers too.
        assert send(router("openai", server), way, server).error is None
        assert "temperature" not in server.requests[2].json
        # The attempt says what happened.
        assert "temperature" in outcome.words


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (
            "anthropic",
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "`temperature` is deprecated for this model."},
            },
        ),
        (
            "anthropic",
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "temperature: Extra inputs are not permitted"},
            },
        ),
        (
            "gemini",
            {
                "error": {
                    "code": 400,
                    "message": 'Invalid JSON payload received. Unknown name "temperature" at '
                    "'generation_config': Cannot find field.",
                    "status": "INVALID_ARGUMENT",
                }
            },
        ),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_refused_temperature_of_the_other_protocols(name: Name, body: Any, way: Way) -> None:
    outcome = ask(name, way, whole(body, 400), says(name, way, VALUE), call={"temperature": 0.7})
    assert outcome.error is None, outcome.words
    assert "temperature" in outcome.requests[0].body.decode()
    assert "temperature" not in outcome.requests[1].body.decode()


@pytest.mark.parametrize(
    "body",
    [
        {"error": MAX_TOKENS},
        {"error": {**MAX_TOKENS, "param": None}},
        {"error": {"message": "max_tokens is not supported, use max_completion_tokens", "type": "x"}},
        {
            "detail": [
                {"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}
            ]
        },
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_refused_limit_is_renamed(body: Any, way: Way) -> None:
    outcome = ask("openai", way, whole(body, 400), says("openai", way, VALUE), call={"max_tokens": 900})
    assert outcome.error is None, outcome.words
    assert outcome.requests[0].json["max_tokens"] == 900
    assert outcome.requests[1].json["max_completion_tokens"] == 900
    assert "max_tokens" not in outcome.requests[1].json


@pytest.mark.parametrize(
    "body",
    [
        {
            "error": {
                "message": "Unrecognized request argument supplied: stream_options",
                "type": "invalid_request_error",
            }
        },
        {"error": {"message": "stream_options is not supported", "param": "stream_options", "code": None}},
        {
            "detail": [
                {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}
            ]
        },
        {"object": "error", "message": "Unsupported parameter: stream_options", "code": 400},
    ],
)
@pytest.mark.parametrize("way", ["stream", "structured_stream"])
def test_refused_options_of_a_stream_are_left_out(body: Any, way: Way) -> None:
    outcome = ask("openai", way, whole(body, 400), says("openai", way, VALUE))
    assert outcome.error is None, outcome.words
    assert "stream_options" in outcome.requests[0].json
    assert "stream_options" not in outcome.requests[1].json
    assert outcome.requests[1].json["stream"] is True


def test_a_refusal_of_what_every_request_needs_is_an_error() -> None:
    for param in ("messages", "model", "messages[0].content"):
        body = {"error": {"message": f"Invalid value for '{param}'.", "param": param, "code": "invalid_value"}}
        outcome = ask("openai", "whole", whole(body, 400))
        assert (outcome.errors, len(outcome.requests)) == (["rejected"], 1)


def test_a_parameter_that_is_refused_again_is_an_error() -> None:
    outcome = ask("openai", "whole", refuse(TEMPERATURE))
    assert outcome.error is not None
    assert len(outcome.requests) == 2


def test_a_word_in_another_complaint_is_no_refusal() -> None:
    body = {"error": {"message": "The moon has no temperature.", "type": "invalid_request_error", "param": None}}
    outcome = ask("openai", "whole", whole(body, 400))
    assert outcome.errors[0] in {"rejected", "parameter_rejected"}
    assert len(outcome.requests) <= 2


def test_two_refusals_of_different_parameters() -> None:
    def answer(request: Received) -> Reply:
        body = request.json
        for key in ("stream_options", "temperature"):
            if key in body:
                return refuse({"message": f"Unsupported parameter: '{key}'.", "param": key})
        return says("openai", "stream", "Hello")

    with RawServer(answer) as server:
        target = router("openai", server)
        outcome = send(target, "stream", server)
        assert outcome.value == "Hello"
        assert len(server.requests) == 3
        assert send(target, "stream", server).value == "Hello"
        assert len(server.requests) == 4


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini", "ollama"])
def test_no_temperature_is_sent_where_none_is_wanted(name: Name) -> None:
    for way in WAYS:
        outcome = ask(name, way, says(name, way, VALUE), call={"temperature": None})
        assert outcome.error is None
        assert "temperature" not in outcome.requests[0].body.decode()


def test_the_workflow_runs_on_a_model_that_refuses_both() -> None:
    """The model's words come from the simulator; the refusals are OpenAI's, byte for byte."""
    import urllib.request

    with Simulator() as simulator:

        def answer(request: Received) -> Reply:
            if "max_tokens" in request.json:
                return refuse(MAX_TOKENS)
            if "temperature" in request.json:
                return refuse(TEMPERATURE)
            url = simulator.openai_url + request.path.removeprefix("/v1")
            forwarded = urllib.request.Request(url, request.body, {"content-type": "application/json"})  # noqa: S310
            with urllib.request.urlopen(forwarded) as response:  # noqa: S310
                return whole(response.read(), kind=response.headers["content-type"])

        with RawServer(answer) as server:
            coordinator = Coordinator(router=router("openai", server))
            results = coordinator.run_workflow("city farming", "small budget", num_top_candidates=1)
            assert [result["status"] for result in results] == ["ok"]
            refused = [request for request in server.requests if {"temperature", "max_tokens"} & request.json.keys()]
            assert len(refused) == 1
