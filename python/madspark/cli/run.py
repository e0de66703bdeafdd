"""Runs the workflow for the command line, and returns its exit code."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from typing import TYPE_CHECKING, Any

from madspark.cli.arguments import config_changes, parse, temperatures
from madspark.cli.failures import explain
from madspark.cli.outcome import DEGRADED, FAILED, OK, WRONG_USAGE, report
from madspark.cli.progress import Progress
from madspark.cli.render import as_json, as_text, degraded, metrics_line

if TYPE_CHECKING:
    import argparse

    from madspark.core.enhanced_reasoning import ReasoningEngine
    from madspark.llm.config import LLMConfig
    from madspark.llm.metrics import RouterMetrics
    from madspark.llm.router import LLMRouter

__all__ = ["run"]

_MAX_COLUMNS = 100
"""Longer lines are hard to read, however wide the terminal is."""


def run(arguments: list[str] | None = None) -> int:
    """Run the command and return the exit code. `arguments` default to those of the process."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["cache"]:
        from madspark.cli.cache import run as run_cache

        return run_cache(arguments[1:])
    args = parse(arguments)
    from madspark.llm.config import LLMConfig

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO if args.verbose else logging.WARNING, format="madspark: %(message)s"
    )
    try:
        config = LLMConfig.from_env().replace(**config_changes(args))
    except ValueError as error:
        report(explain(error, {}))
        return WRONG_USAGE
    if not args.verbose:
        # Each failed attempt is logged as a warning. Its consequence is in the last line or in the result.
        logging.getLogger("madspark").setLevel(logging.ERROR)

    from madspark.llm.router import LLMRouter

    progress = Progress(sys.stderr, quiet=args.quiet)
    try:
        router = LLMRouter(
            primary_provider=args.provider,
            fallback_enabled=False if args.no_fallback else None,
            model_tier=args.tier,
            config=config,
        )
        results = asyncio.run(_workflow(args, router, progress))
    except Exception as error:  # noqa: BLE001  # every failure is reported in one line
        if args.verbose:
            import traceback

            traceback.print_exc(file=sys.stderr)
        report(explain(error, _hosts(config)))
        return FAILED
    return _show(args, results, router.get_metrics())


async def _workflow(args: argparse.Namespace, router: LLMRouter, progress: Progress) -> list[dict[str, Any]]:
    from madspark.core.async_coordinator import AsyncCoordinator

    try:
        return await AsyncCoordinator(progress_callback=progress.show, router=router).run_workflow(
            args.topic,
            args.context,
            num_top_candidates=args.top,
            temperature_manager=temperatures(args),
            enhanced_reasoning=args.enhanced,
            multi_dimensional_eval=args.multi_dimensional,
            logical_inference=args.logical_inference or args.inference_type is not None,
            reasoning_engine=_reasoning(args),
            language=args.language,
            timeout=args.timeout,
            stage_timeouts=dict(args.stage_timeout),
            evaluation=args.evaluation,
            max_output_tokens=args.max_output_tokens,
            multimodal_files=args.file or None,
            multimodal_urls=args.url or None,
            enable_novelty_filter=not args.no_novelty_filter,
            novelty_threshold=args.novelty_threshold,
        )
    finally:
        progress.close()


def _reasoning(args: argparse.Namespace) -> ReasoningEngine | None:
    if args.inference_type is None:
        return None
    from madspark.core.enhanced_reasoning import ReasoningEngine

    return ReasoningEngine(inference_type=args.inference_type)


def _show(args: argparse.Namespace, results: list[dict[str, Any]], metrics: RouterMetrics) -> int:
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    if args.json:
        text = as_json(results, metrics, ascii_only=encoding != "utf8")
    else:
        text = as_text(results, min(shutil.get_terminal_size().columns, _MAX_COLUMNS))
        # A character that the terminal cannot encode must not lose the result.
        text = text.encode(sys.stdout.encoding or "ascii", "replace").decode(sys.stdout.encoding or "ascii")
    if text:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    if args.verbose:
        report(metrics_line(metrics))
    if not results:
        report("the run ended without an idea")
        return FAILED
    problems = degraded(results)
    for problem in problems:
        report(problem)
    return DEGRADED if problems else OK


def _hosts(config: LLMConfig) -> dict[str, str]:
    return {
        "ollama": config.ollama_host,
        "gemini": config.gemini_base_url,
        "openai": config.openai_base_url,
        "anthropic": config.anthropic_base_url,
    }
