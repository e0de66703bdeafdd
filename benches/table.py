"""Markdown tables that are also readable on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTHING = "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with the first column left-aligned and the others right-aligned; empty without rows."""
    if not rows:
        return ""
    widths = [max(2, *(len(row[column]) for row in (head, *rows))) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for row in (head, rule, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Format a figure with its significant digits."""
    if value is None:
        return NOTHING
    if abs(value) >= 1000:  # noqa: PLR2004  # from here on it needs its thousands set apart
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004  # three digits


def times(value: float | None, base: float | None) -> str:
    """Format the ratio of a figure to `base`."""
    if value is None or not base:
        return NOTHING
    ratio = value / base
    return f"{ratio:.2f}x" if ratio < 10 else f"{number(ratio)}x"  # noqa: PLR2004  # three digits
