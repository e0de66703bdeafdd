"""What the command ends with: its exit codes, and lines on stderr."""

from __future__ import annotations

import sys

__all__ = ["CANCELLED", "DEGRADED", "FAILED", "OK", "WRONG_USAGE", "tell"]

OK, FAILED, WRONG_USAGE, DEGRADED, CANCELLED = 0, 1, 2, 3, 130


def tell(line: str) -> None:
    """Write one line of ours to stderr, at once."""
    sys.stderr.write(f"madspark: {line}\n")
    sys.stderr.flush()
