"""Converts and checks the values of the command line."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing import TextIO

__all__ = [
    "file",
    "optional_text",
    "output_tokens",
    "seconds",
    "share",
    "stage_timeout",
    "stdin",
    "temperature",
    "text",
    "url",
]

_MAX_STDIN = 1_000_000
"""Longer than any prompt."""


def text(value: str) -> str:
    """Return a text that is not blank."""
    if not value.strip():
        raise argparse.ArgumentTypeError("must not be blank")
    return optional_text(value)


def optional_text(value: str) -> str:
    """Return a text that may be blank."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("is not valid text in the encoding of this locale") from None
    return value


def stdin(stream: TextIO | None) -> str:
    """Return the text on stdin, which must be UTF-8 and not blank."""
    data = b"" if stream is None else stream.buffer.read(_MAX_STDIN + 1)
    if len(data) > _MAX_STDIN:
        raise argparse.ArgumentTypeError(f"is longer than {_MAX_STDIN} bytes: attach it with --file")
    try:
        return text(data.decode("utf-8-sig").strip())
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError("is not UTF-8") from None


def file(value: str) -> str:
    """Return the path of an existing file."""
    if not Path(value).is_file():
        raise argparse.ArgumentTypeError(f"no such file: {value}")
    return value


def url(value: str) -> str:
    """Return a complete web address."""
    scheme, _, rest = value.partition("://")
    if scheme not in {"http", "https"} or not rest.strip("/"):
        raise argparse.ArgumentTypeError("must be a complete URL with http:// or https://")
    return value


def stage_timeout(value: str) -> tuple[str, float | None]:
    """Return a stage and its time; None means no limit."""
    from madspark._nearest import nearest
    from madspark.core._options import TIMED_STAGES

    stage, separator, limit = value.partition("=")
    if separator and stage in TIMED_STAGES:
        return stage, None if limit == "none" else seconds(limit)
    meant = nearest(stage, TIMED_STAGES) if separator else None
    hint = f"did you mean {meant}?" if meant else f"the stages are {', '.join(TIMED_STAGES)}"
    raise argparse.ArgumentTypeError(f"must be STAGE=SECONDS, not {value!r}: {hint}")


def output_tokens(value: str) -> int | str:
    """Return a number of tokens, or the rule for it."""
    if value in {"auto", "unlimited"}:
        return value
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError("must be a positive whole number, auto or unlimited")
    return int(value)


def seconds(value: str) -> float:
    """Return a time in seconds: longer than any run, and small enough to be added to any clock."""
    return _number(value, 0.001, 1e9, "a positive number of seconds")


def share(value: str) -> float:
    """Return a number from 0 to 1."""
    return _number(value, 0.0, 1.0, "between 0 and 1")


def temperature(value: str) -> float | Literal["none"]:
    """Return a temperature, or "none" to send none."""
    return "none" if value == "none" else _number(value, 0.0, 2.0, "between 0 and 2")


def _number(value: str, low: float, high: float, expected: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"must be {expected}, not {value!r}")
    return number
