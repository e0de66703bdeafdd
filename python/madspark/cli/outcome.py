"""The exit codes of the command, and its messages on stderr."""

from __future__ import annotations

import sys

__all__ = ["CANCELLED", "DEGRADED", "FAILED", "OK", "WRONG_USAGE", "report"]

OK, FAILED, WRONG_USAGE, DEGRADED, CANCELLED = 0, 1, 2, 3, 130


def report(line: str) -> None:
    """Write one line to stderr and flush it."""
    sys.stderr.write(f"madspark: {line}\n")
    sys.stderr.flush()
