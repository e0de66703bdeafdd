"""The exit codes of the command, its messages on stderr, and its errors as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CANCELLED", "DEGRADED", "FAILED", "OK", "WRONG_USAGE", "interrupted", "print_error", "print_json", "report"]

OK, FAILED, WRONG_USAGE, DEGRADED, CANCELLED = 0, 1, 2, 3, 130

_SIGNALLED = 128


def interrupted(signal: int) -> int:
    """Return the exit code of a process that `signal` ended, as shells report it."""
    return _SIGNALLED + signal


def report(line: str) -> None:
    """Write one line to stderr and flush it."""
    sys.stderr.write(f"madspark: {line}\n")
    sys.stderr.flush()


def print_json(value: Mapping[str, Any]) -> None:
    """Write `value` to stdout as JSON, with escapes for what stdout cannot encode."""
    import json

    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    sys.stdout.write(json.dumps(value, ensure_ascii=encoding != "utf8", indent=2) + "\n")
    sys.stdout.flush()


def print_error(error: Mapping[str, Any], **more: Any) -> None:
    """Write the JSON of a failure to stdout: `error` with at least `code` and `message`, and `more` members."""
    print_json({"error": error, **more})
