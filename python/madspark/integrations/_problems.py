"""Answers a failed request with problem details (RFC 9457)."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from madspark._described import DescribedModel
from madspark.llm._problem import seconds_to_wait
from madspark.llm.exceptions import MadsparkError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["ProblemAttempt", "ProblemDetails", "add_exception_handlers", "problem_response", "problem_responses"]

MEDIA_TYPE = "application/problem+json"

_RETRY_AFTER = frozenset({429, 503})
"""The statuses whose replies say when to try again."""

_SERVER_ERROR = 500

_logger = logging.getLogger("madspark.integrations")


class ProblemAttempt(DescribedModel):
    """A failed attempt at one target."""

    provider: str
    """The provider."""
    model: str
    """Its model."""
    error: str | None = None
    """The class of the failure in snake case; absent if the attempt succeeded."""
    status: int | None = None
    """The HTTP status that the provider returned."""
    retry_after: float | None = None
    """Seconds that the provider asked to wait."""


class ProblemDetails(DescribedModel):
    """The body of a failed request: `MadsparkError.to_problem()`. Members without a value are absent."""

    type: str
    """The address of the documentation of `code`."""
    title: str
    """A summary of `code`."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened, in words."""
    code: str
    """The stable name of the error, such as "rate_limited"."""
    provider: str | None = None
    """The provider that failed."""
    model: str | None = None
    """Its model."""
    retry_after: float | None = None
    """Seconds until a provider takes requests again."""
    attempts: list[ProblemAttempt] | None = None
    """The attempts of the call, in order."""


def problem_response(error: MadsparkError) -> JSONResponse:
    """Return the reply for `error`: its status, its problem details, and `Retry-After` if the wait is known."""
    headers, wait = {}, seconds_to_wait(error)
    if wait is not None and error.http_status in _RETRY_AFTER:
        headers["retry-after"] = str(math.ceil(wait))
    return JSONResponse(error.to_problem(), error.http_status, headers, MEDIA_TYPE)


def add_exception_handlers(app: FastAPI) -> None:
    """Answer each `MadsparkError` that a handler of `app` raises with problem details.

    Errors with a status of 500 or more are logged, with their message, to `madspark.integrations`.
    """
    app.add_exception_handler(MadsparkError, _handle)


def problem_responses(*errors: type[MadsparkError]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an operation that raises `errors`, for its OpenAPI description.

    >>> from madspark import RateLimitError
    >>> problem_responses(RateLimitError)[429].get("description")
    'Too many requests'
    """
    schema = _inline(ProblemDetails.model_json_schema())
    titles: dict[int, list[str]] = {}
    for error in errors:
        titles.setdefault(error.http_status, []).append(error.title)
    return {
        status: {"description": "; ".join(dict.fromkeys(found)), "content": {MEDIA_TYPE: {"schema": schema}}}
        for status, found in titles.items()
    }


async def _handle(connection: HTTPConnection, error: Exception) -> JSONResponse:
    if not isinstance(error, MadsparkError) or not isinstance(connection, Request):
        # A WebSocket has no reply to write this into.
        raise error
    if error.http_status >= _SERVER_ERROR:
        _logger.error("%s %s: %s: %s", connection.method, connection.url.path, error.code, error)
    return problem_response(error)


def _inline(schema: dict[str, Any]) -> dict[str, Any]:
    """Replace references, which would point into the wrong document, by what they refer to."""
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return resolved(definitions[value["$ref"].rpartition("/")[2]])
        return {name: resolved(one) for name, one in value.items()}

    found: dict[str, Any] = resolved(schema)
    return found
