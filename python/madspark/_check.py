"""Checks of arguments on their way to the core, whose own errors know no names of Python's."""

from __future__ import annotations

import math
import operator
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def text(name: str, value: str) -> str:
    """`value`, if it is a text that can be sent.

    Raises:
        TypeError: It is no text.
        ValueError: It holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        message = f"{name} must be a text, not {type(value).__name__}"
        raise TypeError(message)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        message = f"{name} holds a lone surrogate, which is no character"
        raise ValueError(message) from error
    return value


def count(name: str, value: int) -> int:
    """`value` as a number of things.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is negative.
    """
    try:
        whole = operator.index(value)
    except TypeError as error:
        message = f"{name} must be a whole number, not {value!r}"
        raise TypeError(message) from error
    if whole < 0:
        message = f"{name} must not be negative, not {whole}"
        raise ValueError(message)
    return whole


def number(name: str, value: float) -> float:
    """`value`, if JSON has a number for it.

    Raises:
        ValueError: It is infinite or not a number.
    """
    if not math.isfinite(value):
        message = f"{name} must be a finite number, not {value}"
        raise ValueError(message)
    return value


def seconds(name: str, value: float) -> float:
    """`value`; for infinity, a bound that never comes, the largest number that JSON has.

    Raises:
        ValueError: It is not a number.
    """
    return sys.float_info.max if value == math.inf else number(name, value)


def listed(name: str, given: Iterable[Any] | None) -> list[Any]:
    """`given` as a list; None as an empty one.

    Raises:
        TypeError: It is a single thing, such as one path: taken for a list, it would fall apart into letters.
    """
    if isinstance(given, str | bytes | os.PathLike):
        message = f"{name} must be a list, not {type(given).__name__}; put a single one in brackets"
        raise TypeError(message)
    return list(given or ())
