"""Measures the cost of a call, compared with a minimal client and other libraries."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from time import perf_counter

from benches import callers, machine
from benches.report import report
from benches.run import Results, Row, Run
from benches.task import all_tasks

RESULTS = Path(__file__).parent / "results.md"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--minutes", type=float, default=7.0, help="approximate duration (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=0.15, help="duration of one task in one turn (default: %(default)s)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=callers.NAMES, default=list(callers.NAMES), metavar="NAME",
        help=f"which of {', '.join(callers.NAMES)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--tasks", default="", metavar="WORDS", help="only tasks whose names contain all of these words"
    )
    parser.add_argument(
        "--compare", nargs="+", default=[], metavar="NAME=PYTHON",
        help="add a row for the madspark of another interpreter",
    )  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="FILE", help=f"write the report, such as {RESULTS.name}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of every turn")
    return parser.parse_args()


def main() -> None:
    """Measure, print and write."""
    options = arguments()
    rows = [Row(name, name, sys.executable) for name in options.only]
    for pair in options.compare:
        name, _, python = pair.partition("=")
        rows.append(Row(name, "madspark", python))
    words = options.tasks.split()
    tasks = [task for task in all_tasks() if all(word in str(task).split() for word in words)]
    results = Run(rows, tasks, options.seconds).measure(perf_counter() + options.minutes * 60)
    text = report(results, machine.describe())
    print(text, end="")
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")
    if options.json is not None:
        options.json.write_text(_as_json(results), encoding="utf-8")
    if ours := [what for what in results.missing if not what.startswith(callers.PEERS)]:
        raise SystemExit(f"error: not measured: {', '.join(ours)}")


def _as_json(results: Results) -> str:
    figures = {str(task): turns for task, turns in results.figures.items()}
    return json.dumps({"versions": results.versions, "missing": results.missing, "figures": figures}) + "\n"


if __name__ == "__main__":
    main()
