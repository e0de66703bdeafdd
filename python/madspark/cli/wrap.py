"""Wraps text for a terminal.

`textwrap` counts characters. A Chinese or Japanese character takes two columns and a combining accent none, and in
these languages lines may break without a space.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["clean", "shorten", "width", "wrap"]

# Marks that must not start a line. They stay with the character before them.
_CLOSING = frozenset("、。，．：；！？）］｝」』】〉》〕ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")  # noqa: RUF001  # full width on purpose
_WIDE = 2
# Combines several emoji into one.
_JOINER = "\u200d"
_BULLET = re.compile(r"(?:[-*•]|\d{1,2}[.)])\s+")
# Overrides of the writing direction can disguise text.
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def width(text: str) -> int:
    """Return the number of terminal columns that `text` takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def clean(text: str) -> str:
    """Remove what controls the terminal: escape sequences and other control characters, except line ends."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_printable(character) for character in text.replace("\r\n", "\n"))


def wrap(text: str, columns: int, indent: str = "") -> list[str]:
    """Break `text` into lines of at most `columns` columns, each of which starts with `indent`.

    Line ends in the text are kept. Continuation lines of a bullet are aligned with its text. Only words that are wider
    than a line are split.
    """
    lines: list[str] = []
    for line in clean(text).splitlines():
        stripped = line.lstrip()
        lead = indent + line[: len(line) - len(stripped)]
        bullet = _BULLET.match(stripped)
        hang = lead + " " * (width(bullet.group()) if bullet else 0)
        lines.extend(_filled(stripped, columns, lead, hang))
    return lines


def shorten(text: str, columns: int) -> str:
    """Shorten `text` to one line of at most `columns` columns, with an ellipsis for what is missing."""
    line = " ".join(clean(text).split())
    if width(line) <= columns:
        return line
    kept = ""
    columns_left = columns - 1
    for character in line:
        columns_left -= _columns(character)
        if columns_left < 0:
            break
        kept += character
    return f"{kept}…" if columns > 0 else ""


def _columns(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return _WIDE if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _printable(character: str) -> str:
    if character == "\n":
        return character
    if character in "\t\v\f\r":
        return " "
    return "" if character in _DIRECTION or unicodedata.category(character) in {"Cc", "Cs"} else character


def _filled(text: str, columns: int, lead: str, hang: str) -> Iterator[str]:
    """Fill lines greedily. The first one starts with `lead`, the others with `hang`."""
    line, gap = "", ""
    start = lead
    for piece in _pieces(text):
        if piece.isspace():
            gap = " "
            continue
        if line and width(start) + width(line) + width(gap) + width(piece) > columns:
            yield start + line
            start, line, gap = hang, "", ""
        line += (gap if line else "") + piece
        gap = ""
        # At least two columns, so that a narrow terminal still shows every character.
        columns_left = max(_WIDE, columns - width(start))
        while width(line) > columns_left:
            head = _prefix(line, columns_left)
            yield start + head
            start, line = hang, line[len(head) :]
            columns_left = max(_WIDE, columns - width(start))
    yield (start + line).rstrip()


def _prefix(text: str, columns_left: int) -> str:
    """Return the longest prefix of `text` that fits into `columns_left` columns, with its combining marks."""
    for end, character in enumerate(text):
        columns_left -= _columns(character)
        if columns_left < 0:
            return text[:end]
    return text


def _pieces(text: str) -> Iterator[str]:
    """Split into pieces that no line may break: words, spaces, and wide characters with the marks that follow them."""
    piece = ""
    for character in text:
        if piece and not _is_inseparable(piece[-1], character):
            yield piece
            piece = ""
        piece += character
    if piece:
        yield piece


def _is_inseparable(before: str, after: str) -> bool:
    if before.isspace() or after.isspace():
        return before.isspace() and after.isspace()
    if after in _CLOSING or before == _JOINER or _columns(after) == 0:
        return True
    return _columns(before) != _WIDE and _columns(after) != _WIDE
