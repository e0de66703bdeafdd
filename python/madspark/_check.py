"""Checks of arguments before they are passed to the core, whose errors do not name Python arguments."""

from __future__ import annotations

import math
import operator
import os
import sys
from typing import TYPE_CHECKING, Any

from madspark.llm.exceptions import InvalidArgumentError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable


def text(name: str, value: str) -> str:
    """Return `value` if it can be encoded as UTF-8.

    Raises:
        TypeError: If it is not a `str`.
        ValueError: If it contains a lone surrogate.
    """
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be a str, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"{name} contains a lone surrogate, which is not a character") from error
    return value


def count(name: str, value: int) -> int:
    """Return `value` as an `int` that is not negative.

    Raises:
        TypeError: If it is not an integer.
        ValueError: If it is negative.
    """
    try:
        integer = operator.index(value)
    except TypeError as error:
        raise InvalidArgumentError(f"{name} must be an integer, not {value!r}") from error
    if integer < 0:
        raise InvalidRequestError(f"{name} must not be negative, got {integer}")
    return integer


def number(name: str, value: float) -> float:
    """Return `value` if JSON can represent it.

    Raises:
        ValueError: If it is infinite or NaN, or an integer that is too large for a float.
    """
    try:
        is_finite = math.isfinite(value)
    except OverflowError as error:
        raise InvalidRequestError(f"{name} is too large") from error
    if not is_finite:
        raise InvalidRequestError(f"{name} must be a finite number, not {value}")
    return value


def seconds(name: str, value: float) -> float:
    """Return `value`, or the largest number that JSON can represent if that is less.

    Raises:
        ValueError: If it is NaN.
    """
    return sys.float_info.max if value > sys.float_info.max else number(name, value)


def listed(name: str, items: Iterable[Any] | None) -> list[Any]:
    """Return `items` as a list, empty for None.

    Raises:
        TypeError: If it is a single item, such as one path, whose letters would become the items.
    """
    if isinstance(items, str | bytes | os.PathLike):
        raise InvalidArgumentError(f"{name} must be a list, not {type(items).__name__}; put a single item in brackets")
    return list(items or ())
