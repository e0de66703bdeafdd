"""The report of a run, as Markdown. Written again after every result: an aborted run keeps its figures."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING

from benches.real import outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benches.real.outcome import Outcomes

SECTIONS = {
    "agents": "## Agents",
    "matrix": "## Structured output",
    "ranking": "## Ranking",
    "workflow": "## Workflows",
}


@dataclass
class Report:
    """The tables of a run."""

    path: Path | None
    """The file to write; None prints only."""
    tables: dict[str, tuple[list[str], list[list[str]]]] = field(default_factory=dict)
    """The header and the rows by section."""
    reasons: list[str] = field(default_factory=list)

    def add(self, section: str, header: Sequence[str], row: Sequence[str], outcomes: Outcomes | None = None) -> None:
        """Add a row to the table of `section`, print it, and write the report."""
        _, rows = self.tables.setdefault(section, (list(header), []))
        rows.append(list(row))
        print(f"{section}: " + ", ".join(f"{name} {cell}" for name, cell in zip(header, row, strict=True)), flush=True)
        if outcomes is not None and outcomes.reasons:
            label = ", ".join(row[: header.index(outcome.HEADER[0])])
            self.reasons += [f"- {label}: {count} times {reason}" for reason, count in outcomes.reasons.most_common(5)]
        if self.path is not None:
            self.path.write_text(self.text(), encoding="utf-8")

    def load(self) -> None:
        """Take over the rows and misses of the report that exists."""
        if self.path is None or not self.path.exists():
            return
        sections = {heading: section for section, heading in SECTIONS.items()}
        section = None
        for line in self.path.read_text(encoding="utf-8").splitlines():
            if line.startswith("## "):
                section = sections.get(line)
            elif line.startswith("- "):
                self.reasons.append(line)
            elif section is not None and line.startswith("| ") and not line.startswith("| ---"):
                cells = [cell.replace("\\|", "|") for cell in re.split(r"(?<!\\) \| ", line[2:-2])]
                if section in self.tables:
                    self.tables[section][1].append(cells)
                else:
                    self.tables[section] = (cells, [])

    def text(self) -> str:
        """Return the report."""
        lines = ["# Real models", "", _machine(), "", INTRODUCTION, ""]
        for section, heading in SECTIONS.items():
            if section in self.tables:
                header, rows = self.tables[section]
                lines += [heading, "", _line(header), _line(["---"] * len(header)), *map(_line, rows), ""]
        if self.reasons:
            lines += ["## Misses", "", *self.reasons, ""]
        return "\n".join(lines)


INTRODUCTION = """\
Written by `make real`; see [README.md](README.md#real-models). A run is complete if its result has every item that was
requested. "First try": one request per call, used as received. "Corrected": one request per call, and a local
correction. "Asked again": more requests than calls. Ranking: the pairs of a sensible and an absurd idea in which the
sensible one has the higher score."""


def _machine() -> str:
    packages = ("madspark", "pydantic", *_installed("pydantic-ai-slim"))
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    system = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {system}, {versions}"


def _installed(name: str) -> tuple[str, ...]:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return ()
    return (name,)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
