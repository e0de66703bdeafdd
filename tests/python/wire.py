"""What a simulator saw, for tests that assert on the wire."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from madspark.testing import RecordedRequest, Simulator

_QUESTIONS = ("/api/chat", ":generateContent", ":streamGenerateContent", "/chat/completions", "/messages")


def questions(simulator: Simulator, provider: str | None = None) -> list[RecordedRequest]:
    """The requests that ask a model, in the order they arrived; what was looked up about models is left out."""
    return [
        request
        for request in simulator.requests
        if request.path.partition("?")[0].endswith(_QUESTIONS) and provider in {None, request.provider}
    ]


def asked(simulator: Simulator) -> list[str | None]:
    """Who was asked, in order."""
    return [request.provider for request in questions(simulator)]


def gaps(requests: list[RecordedRequest]) -> list[float]:
    """Seconds from the end of each request to the beginning of the next one."""
    return [later.started - (earlier.finished or 0.0) for earlier, later in pairwise(requests)]
