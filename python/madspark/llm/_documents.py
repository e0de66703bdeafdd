"""The JSON forms of responses and attempts: what pydantic, and FastAPI with it, needs to know of them.

The models have the names of the classes, which are those of the schemas in an OpenAPI document.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import core_schema

from madspark._described import DescribedModel

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from madspark.llm.response import Attempt as AttemptRecord


class _Document(DescribedModel):
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Attempt(_Document):
    """One attempt at one target."""

    provider: str
    """The provider."""
    model: str
    """The model."""
    ok: bool
    """Whether it succeeded."""
    status: int | None = None
    """The HTTP status of the reply; None if there was none."""
    error: str | None = None
    """The class of the failure in snake case, such as "rate_limited"; None if it succeeded."""
    message: str | None = None
    """The failure in words; None if it succeeded."""
    latency_ms: float = 0.0
    """The latency of the attempt in milliseconds."""
    usage: dict[str, int] = Field(default_factory=dict)
    """The token counts that the provider reported, also for a failed attempt."""
    skipped_events: int = 0
    """The number of malformed stream events that were skipped."""
    changes: list[str] = Field(default_factory=list)
    """The local repairs of a structured reply, such as "trailing_comma"; empty if none was needed."""
    wait_ms: float = 0.0
    """How long the call waited before the attempt, in milliseconds."""
    hedged: bool = False
    """Whether it ran in parallel with a slow attempt at another target."""
    retry_after: float | None = None
    """Seconds to wait before the next request, as requested by the provider."""
    estimated: bool = False
    """Whether the token counts are estimated, because the attempt ended before the provider reported them."""
    pages: list[dict[str, str]] = Field(default_factory=list)
    """The web pages that the provider was to read, each with its status."""
    shared: bool = False
    """Whether the answer came from an identical request of another call: nothing was sent, and nothing is charged."""
    omitted: list[str] = Field(default_factory=list)
    """The requested parameters that were not sent, because the target does not take them, such as "temperature"."""


class LLMResponse(_Document):
    """The response of a model call."""

    text: str
    """The text of the answer."""
    provider: str
    """The provider that answered."""
    model: str
    """The model that answered."""
    tokens_used: int = 0
    """Tokens of all attempts, failed ones included."""
    latency_ms: float = 0.0
    """The latency of the whole call in milliseconds."""
    cost: float | None = 0.0
    """US dollars of all attempts; None if a price is unknown."""
    cached: bool = False
    """Whether the answer came from the cache, or from an identical call that was in flight."""
    timestamp: datetime
    """When the call ended, in UTC."""
    attempts: list[Attempt] = Field(default_factory=list)
    """Every attempt, failed ones included, in order."""
    finish_reason: str | None = None
    """Why the model stopped, such as "stop" or "length"; None without a model."""
    provider_finish_reason: str | None = None
    """The provider's own word for it, such as "end_turn"; None if it reported none."""
    truncated: bool = False
    """Whether the text was cut at a limit of tokens."""
    reasoning: str | None = None
    """What the model thought before it answered, if it was returned; never a part of the text."""


class Restarted(_Document):
    """An item of a stream that failed and starts again: everything before it is void."""

    provider: str
    """The provider that failed."""
    model: str
    """Its model."""
    error: str
    """The class of the failure in snake case, such as "disconnected"."""
    reason: str
    """The failure in words."""


_DOCUMENTS: dict[str, type[BaseModel]] = {"Attempt": Attempt, "LLMResponse": LLMResponse, "Restarted": Restarted}

_DERIVED = {"truncated"}
"""Fields of the JSON form that the class computes."""


def document_schema(cls: type[Any], handler: GetCoreSchemaHandler, attempt: type[AttemptRecord]) -> CoreSchema:
    """Return the schema for `cls`: takes its instances, or its JSON form, and dumps as its JSON form.

    `attempt` is the class of the attempts in it.
    """
    document = next(_DOCUMENTS[base.__name__] for base in cls.__mro__ if base.__name__ in _DOCUMENTS)
    form = handler.generate_schema(document)

    def build(fields: BaseModel) -> Any:
        return cls(**{name: value(getattr(fields, name)) for name in document.model_fields if name not in _DERIVED})

    def value(found: Any) -> Any:
        return (
            [attempt(**vars(one)) if isinstance(one, Attempt) else one for one in found]
            if isinstance(found, list)
            else found
        )

    from_form = core_schema.no_info_after_validator_function(build, form)
    return core_schema.json_or_python_schema(
        json_schema=from_form,
        python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_form]),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda record: document.model_validate(record.to_dict()), return_schema=form
        ),
    )
