"""A rejected schema is distinguished from a request that is rejected for another reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AllProvidersFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

REJECTIONS: dict[str, tuple[int, Any]] = {
    "ollama": (500, {"error": "invalid JSON schema in format"}),
    "gemini": (
        400,
        {
            "error": {
                "code": 400,
                "message": 'Invalid JSON payload received. Unknown name "responseJsonSchema": Cannot find field.',
                "status": "INVALID_ARGUMENT",
            }
        },
    ),
    "openai": (
        400,
        {
            "error": {
                "message": "Invalid parameter: this is not supported with this model.",
                "type": "invalid_request_error",
                "param": "response_format",
                "code": None,
            }
        },
    ),
    "anthropic": (
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "output_config: Extra inputs are not permitted"},
        },
    ),
}


class Idea(BaseModel):
    """The requested output."""

    title: str


@pytest.mark.parametrize("provider", REJECTIONS)
def test_a_complaint_about_a_schema_counts_only_if_one_was_sent(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    status, body = REJECTIONS[provider]
    madspark_simulator.on(provider, status=status, body=json.dumps(body))
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    with pytest.raises(AllProvidersFailedError) as failure:
        router.generate_structured("one idea", Idea)
    assert failure.value.attempts[0].error == "schema_rejected"
    other = "server" if status == 500 else "rejected"
    with pytest.raises(AllProvidersFailedError) as failure:
        router.generate("one idea")
    assert failure.value.attempts[0].error == other
    with pytest.raises(AllProvidersFailedError) as failure:
        list(router.stream("one idea"))
    assert failure.value.attempts[0].error == other


FORMS: dict[str, list[Callable[[Any], bool]]] = {
    "ollama": [
        lambda body: isinstance(body["format"], dict),
        lambda body: body["format"] == "json",
        lambda body: "format" not in body,
    ],
    "gemini": [
        lambda body: "responseJsonSchema" in body["generationConfig"],
        lambda body: "responseSchema" in body["generationConfig"],
        lambda body: not {"responseJsonSchema", "responseSchema"} & set(body["generationConfig"]),
    ],
    "openai": [
        lambda body: body["response_format"]["type"] == "json_schema",
        lambda body: body["response_format"]["type"] == "json_object",
        lambda body: "response_format" not in body,
    ],
    "anthropic": [
        lambda body: body["output_config"]["format"]["type"] == "json_schema",
        lambda body: "output_config" not in body,
    ],
}


@pytest.mark.parametrize("provider", FORMS)
def test_each_rejection_leads_to_a_simpler_form_of_the_same_schema(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    status, body = REJECTIONS[provider]
    forms = FORMS[provider]
    madspark_simulator.on(provider, status=status, body=json.dumps(body), times=len(forms) - 1)
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    answer, response = router.generate_structured("Two ideas", list[Idea], "Be brief.")
    assert [type(idea) for idea in answer] == [Idea] * len(answer)
    assert [attempt.error for attempt in response.attempts] == ["schema_rejected"] * (len(forms) - 1) + [None]
    requests = madspark_simulator.requests
    assert [form(request.json) for form, request in zip(forms, requests, strict=True)] == [True] * len(forms)
    # The last form is words: the model reads what no field carries.
    # The model reads the outline of a schema that its server compiles to a grammar.
    outline = "\n\nAnswer with JSON in this form:\n" if provider in {"ollama", "openai"} else ""
    system = requests[0].system
    assert system.startswith("Be brief." + outline)
    assert ('"title": string' in system) == bool(outline)
    assert requests[-1].system.startswith("Be brief.\n\nAnswer with JSON alone")
    assert all("title" in json.dumps(request.schema) for request in requests)


def test_a_cloud_model_of_ollama_gets_the_schema_in_the_prompt_and_is_validated(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(
        primary_provider="ollama", fallback_enabled=False, ollama_model_fast="gpt-oss:120b-cloud", model_tier="fast"
    )
    answer, _ = router.generate_structured("Two ideas", Idea, "Be brief.")
    assert answer.title
    (request,) = madspark_simulator.requests
    assert request.model == "gpt-oss:120b-cloud"
    assert "format" not in request.json
    assert request.system.startswith("Be brief.\n\nAnswer with JSON alone")
    assert request.schema["properties"] == {"title": {"type": "string"}}
