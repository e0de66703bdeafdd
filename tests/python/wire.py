"""Helpers for tests that assert on the requests a simulator recorded."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from madspark.testing import RecordedRequest, Simulator

_MODEL_PATHS = ("/api/chat", ":generateContent", ":streamGenerateContent", "/chat/completions", "/messages")


def model_requests(simulator: Simulator, provider: str | None = None) -> list[RecordedRequest]:
    """Return the requests to a model in order of arrival, without requests for information about models."""
    return [
        request
        for request in simulator.requests
        if request.path.partition("?")[0].endswith(_MODEL_PATHS) and provider in {None, request.provider}
    ]


def called_providers(simulator: Simulator) -> list[str | None]:
    """Return the provider of each request to a model, in order."""
    return [request.provider for request in model_requests(simulator)]


def gaps(requests: list[RecordedRequest]) -> list[float]:
    """Return the seconds between the end of each request and the start of the next one."""
    return [later.started - (earlier.finished or 0.0) for earlier, later in pairwise(requests)]
