"""Problem details for HTTP APIs (RFC 9457) from the errors of this package."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from madspark.llm.exceptions import MadsparkError
    from madspark.llm.response import Attempt

__all__ = ["PROBLEM_TYPES", "problem", "seconds_to_wait"]

PROBLEM_TYPES = "https://madspark.github.io/madspark/reference/errors/#"
"""The type of a problem is this address with the error's code: its section of the documentation."""

_ADDRESS = re.compile(
    r"""(?P<scheme>[a-z][a-z0-9+.-]*://)(?:[^\s/?#]*@)?(?P<path>[^\s?#"'<>`]*)(?:[?#][^\s"'<>`]*)?""", re.IGNORECASE
)


def problem(error: MadsparkError, detail: str) -> dict[str, Any]:
    """Return the members of the problem details of `error`. Addresses in `detail` lose their user and query."""
    found = {
        "type": f"{PROBLEM_TYPES}{error.code}",
        "title": error.title,
        "status": error.http_status,
        "detail": _ADDRESS.sub(r"\g<scheme>\g<path>", detail),
        "code": error.code,
        "provider": error.provider,
        "model": error.model,
        "retry_after": seconds_to_wait(error),
        "attempts": [_attempt(attempt) for attempt in error.attempts] or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def seconds_to_wait(error: MadsparkError) -> float | None:
    """Return the seconds until a provider takes requests again, if that is known."""
    waits = [*error.ready_in.values(), *([] if error.retry_after is None else [error.retry_after])]
    return min(waits, default=None)


def _attempt(attempt: Attempt) -> dict[str, Any]:
    found = {
        "provider": attempt.provider,
        "model": attempt.model,
        "error": attempt.error,
        "status": attempt.status,
        "retry_after": attempt.retry_after,
    }
    return {name: value for name, value in found.items() if value is not None}
