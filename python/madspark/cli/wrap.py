"""Text for a terminal: how wide it is, and where its lines end.

`textwrap` counts characters. A Chinese or Japanese character takes two columns, a combining accent none, and
neither language puts spaces where a line may end.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["clean", "shorten", "width", "wrap"]

# Marks that must not begin a line; they stay with the character before them.
_CLOSING = frozenset("、。，．：；！？）］｝」』】〉》〕ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")  # noqa: RUF001  # full width on purpose
_WIDE = 2
# Makes one emoji of several.
_JOINER = "\u200d"
_BULLET = re.compile(r"(?:[-*•]|\d{1,2}[.)])\s+")
# Overrides of the writing direction can make text look like other text.
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def width(text: str) -> int:
    """Count the terminal columns that ``text`` takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def clean(text: str) -> str:
    """Take out what could steer the terminal: escape sequences and other control characters, except line ends."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_printable(character) for character in text.replace("\r\n", "\n"))


def wrap(text: str, columns: int, indent: str = "") -> list[str]:
    """Break ``text`` into lines of at most ``columns`` columns, each beginning with ``indent``.

    Line ends in the text stay. What follows a bullet is aligned with the bullet's text. Only a word that is wider than
    the whole line is broken within.
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
    """Cut ``text`` to one line of at most ``columns`` columns; an ellipsis stands for what was cut."""
    line = " ".join(clean(text).split())
    if width(line) <= columns:
        return line
    kept = ""
    room = columns - 1
    for character in line:
        room -= _columns(character)
        if room < 0:
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
    """Fill lines greedily: ``lead`` begins the first one, ``hang`` the others."""
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
        # At least two columns, so that a narrow terminal still gets every character.
        room = max(_WIDE, columns - width(start))
        while width(line) > room:
            head = _fitting(line, room)
            yield start + head
            start, line = hang, line[len(head) :]
            room = max(_WIDE, columns - width(start))
    yield (start + line).rstrip()


def _fitting(text: str, room: int) -> str:
    """Take the longest beginning of ``text`` within ``room`` columns, marks that combine with it included."""
    for end, character in enumerate(text):
        room -= _columns(character)
        if room < 0:
            return text[:end]
    return text


def _pieces(text: str) -> Iterator[str]:
    """Split into what no line end may divide: words, spaces, and single wide characters with what belongs to them."""
    piece = ""
    for character in text:
        if piece and not _belong_together(piece[-1], character):
            yield piece
            piece = ""
        piece += character
    if piece:
        yield piece


def _belong_together(before: str, after: str) -> bool:
    if before.isspace() or after.isspace():
        return before.isspace() and after.isspace()
    if after in _CLOSING or before == _JOINER or _columns(after) == 0:
        return True
    return _columns(before) != _WIDE and _columns(after) != _WIDE
