"""Runs the workflow for the command line, and returns its exit code."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from typing import TYPE_CHECKING

from madspark.cli.arguments import config_changes, parse, temperatures
from madspark.cli.failures import as_problem, explain
from madspark.cli.interrupt import Interrupts
from madspark.cli.outcome import DEGRADED, FAILED, OK, WRONG_USAGE, interrupted, print_error, print_json, report
from madspark.cli.progress import Progress
from madspark.cli.providers import Announcements, allows_fallback, named_provider
from madspark.cli.render import as_json, as_text, degraded, metrics_line, spending
from madspark.cli.terminal import takes_control_sequences
from madspark.cli.wrap import wrap

if TYPE_CHECKING:
    import argparse

    from madspark.core.enhanced_reasoning import ReasoningEngine
    from madspark.core.result import WorkflowResult
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
        return _fail(args, error, {}, WRONG_USAGE)
    if not args.verbose:
        # Each failed attempt is logged as a warning. Its consequence is in the last line or in the result.
        logging.getLogger("madspark").setLevel(logging.ERROR)

    from madspark.llm.router import LLMRouter

    router = None
    try:
        router = LLMRouter(
            primary_provider=args.provider,
            fallback_enabled=allows_fallback(args, config),
            model_tier=args.tier,
            config=config,
        )
        result, signal = asyncio.run(_workflow(args, router))
    except Exception as error:  # noqa: BLE001  # every failure is reported in one line
        if args.verbose:
            import traceback

            traceback.print_exc(file=sys.stderr)
        return _fail(args, error, _hosts(config), FAILED, None if router is None else router.get_metrics())
    return _show(args, result, router.get_metrics(), signal)


async def _workflow(args: argparse.Namespace, router: LLMRouter) -> tuple[WorkflowResult, int | None]:
    """Return the result, and the signal that ended the run, if one did."""
    from madspark.core.async_coordinator import AsyncCoordinator

    progress = Progress(sys.stderr, rewrites=takes_control_sequences(sys.stderr), quiet=args.quiet)
    named = named_provider(args, router.config)
    announcements = Announcements(named, router.model_tier.value, progress.clear, quiet=args.quiet)
    run = await AsyncCoordinator(router=router).start(
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
        mode="batch",
        evaluation=args.evaluation,
        max_output_tokens=args.max_output_tokens,
        multimodal_files=args.file or None,
        multimodal_urls=args.url or None,
        enable_novelty_filter=not args.no_novelty_filter,
        novelty_threshold=args.novelty_threshold,
        use_cache=args.cache,
        on_provider=announcements,
    )
    try:
        with Interrupts(run.cancel) as interrupts:
            async with run:
                async for event in run.events():
                    if event.message is not None:
                        progress.show(event.message, event.fraction)
                return await run.result(), interrupts.signal
    finally:
        progress.clear()


def _reasoning(args: argparse.Namespace) -> ReasoningEngine | None:
    if args.inference_type is None:
        return None
    from madspark.core.enhanced_reasoning import ReasoningEngine

    return ReasoningEngine(inference_type=args.inference_type)


def _show(args: argparse.Namespace, result: WorkflowResult, metrics: RouterMetrics, signal: int | None) -> int:
    results = result.to_dicts()
    if args.json:
        print_json(as_json(result, metrics))
    elif results:
        columns = min(shutil.get_terminal_size().columns, _MAX_COLUMNS)
        text = "\n".join([as_text(results, columns), "", *wrap(spending(result), columns), ""])
        # A character that the terminal cannot encode must not lose the result.
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    if args.verbose:
        report(metrics_line(metrics))
    for problem in degraded(results):
        report(problem)
    if signal is not None:
        report("cancelled" if results else f"cancelled before an idea was finished. {spending(result)}")
        return interrupted(signal)
    if not results:
        report(f"the run ended without an idea. {spending(result)}")
        return FAILED
    if result.partial and result.reason:
        report(result.reason)
    if result.status == "failed":
        return FAILED
    return OK if result.status == "ok" and not result.partial else DEGRADED


def _fail(
    args: argparse.Namespace,
    error: Exception,
    hosts: dict[str, str],
    code: int,
    metrics: RouterMetrics | None = None,
) -> int:
    line = explain(error, hosts)
    if args.json:
        print_error(as_problem(error, line), **({} if metrics is None else {"metrics": metrics}))
    report(line)
    if metrics is not None and metrics["total_tokens"]:
        report(metrics_line(metrics))
    return code


def _hosts(config: LLMConfig) -> dict[str, str]:
    return {
        "ollama": config.ollama_host,
        "gemini": config.gemini_base_url,
        "openai": config.openai_base_url,
        "anthropic": config.anthropic_base_url,
    }
