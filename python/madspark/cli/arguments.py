"""The command-line parser."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from madspark.cli import values
from madspark.cli.parser import Parser, Version
from madspark.cli.words import refusal
from madspark.utils.temperature_control import PRESETS, TemperatureManager

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["config_changes", "parse", "parse_cache", "temperatures"]

EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]

THINK = ["low", "medium", "high", "max"]

EPILOG = """\
`madspark cache stats` shows the size of the response cache, `madspark cache clear` empties it. A topic that is a
common name of a command is refused; `madspark -- help` runs the workflow on the topic `help`.

A provider that is named, with --provider or MADSPARK_LLM_PROVIDER, is the only one that is used, unless --fallback
permits others. `auto` uses Ollama and, with its API key set, Gemini. Before the first request to a hosted provider that
is not named, stderr says so.

API keys are read from the environment only: GOOGLE_API_KEY or GEMINI_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY,
OLLAMA_API_KEY.

exit codes:
  0    every idea completed the workflow
  1    the run failed
  2    invalid command line
  3    some ideas are degraded or failed; stderr names them with the reason
  130  ended with Ctrl-C (143: with SIGTERM); what was finished is printed
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line. An invalid one ends the process with one line on stderr and exit code 2."""
    parser = _parser()
    args = parser.parse_strictly(arguments)
    refused = None if "--" in arguments else refusal(args.topic, args.context)
    if refused is not None:
        parser.error(refused)
    if args.topic == "-" == args.context:
        parser.error("only one of topic and context can be read from stdin")
    for name in ("topic", "context"):
        if getattr(args, name) == "-":
            try:
                setattr(args, name, values.stdin(sys.stdin))
            except argparse.ArgumentTypeError as error:
                parser.error(f"the {name} from stdin {error}")
    return args


def _parser() -> Parser:
    parser = Parser(
        prog="madspark",
        description="Generate ideas on a topic, criticise them and improve the best ones.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("topic", type=values.text, help="the topic of the ideas; - reads it from stdin")
    parser.add_argument(
        "context",
        nargs="?",
        default="",
        type=values.optional_text,
        help="constraints and goals for the ideas; - reads them from stdin",
    )
    parser.add_argument("--version", action=Version)

    run = parser.add_argument_group("workflow")
    run.add_argument(
        "--top", type=int, choices=range(1, 6), default=3, metavar="N", help="number of ideas to keep, 1-5 (default: 3)"
    )
    run.add_argument("--enhanced", action="store_true", help="add an advocate and a skeptic for each idea")
    run.add_argument(
        "--multi-dimensional",
        action="store_true",
        help="rate each idea on seven dimensions, before and after its improvement",
    )
    run.add_argument("--logical-inference", action="store_true", help="infer the consequences of each idea")
    run.add_argument(
        "--inference-type",
        choices=["full", "causal", "constraints", "contradiction", "implications"],
        help="type of inference; implies --logical-inference",
    )
    run.add_argument(
        "--language", type=values.text, metavar="NAME", help="language of the answers (default: that of the topic)"
    )
    run.add_argument(
        "--file", action="append", default=[], type=values.file, metavar="PATH", help="attach a file; may be repeated"
    )
    run.add_argument(
        "--url", action="append", default=[], type=values.url, metavar="URL", help="attach a web page; may be repeated"
    )
    run.add_argument(
        "--timeout",
        type=values.seconds,
        default=1200.0,
        metavar="S",
        help="time limit of the run in seconds (default: 1200)",
    )
    run.add_argument(
        "--stage-timeout",
        action="append",
        default=[],
        type=values.stage_timeout,
        metavar="STAGE=S",
        help="time of a stage in seconds, or none; may be repeated (default: in proportion to --timeout)",
    )
    run.add_argument(
        "--evaluation",
        choices=["auto", "each", "together"],
        default="auto",
        help="evaluate each idea in a call of its own, or all in one (default: each on a local server)",
    )
    run.add_argument(
        "--max-output-tokens",
        type=values.output_tokens,
        default="auto",
        metavar="N",
        help="output tokens of a call: a number, auto or unlimited (default: auto)",
    )
    run.add_argument("--no-novelty-filter", action="store_true", help="keep ideas that are similar to others")
    run.add_argument(
        "--novelty-threshold",
        type=values.share,
        default=0.8,
        metavar="T",
        help="similarity from which an idea is dropped, 0-1 (default: 0.8)",
    )
    temperature = run.add_mutually_exclusive_group()
    temperature.add_argument(
        "--temperature", type=values.temperature, metavar="T", help="base temperature, 0-2, or `none` to send none"
    )
    temperature.add_argument("--preset", choices=list(PRESETS), help="named set of temperatures")

    models = parser.add_argument_group("models")
    models.add_argument(
        "--provider",
        choices=["auto", "ollama", "gemini", "openai", "anthropic", "mock"],
        help="the only provider to use",
    )
    models.add_argument("--tier", choices=["fast", "balanced", "quality"], help="model tier")
    models.add_argument(
        "--fallback",
        action=argparse.BooleanOptionalAction,
        help="whether other providers may answer too (default: only with the provider auto)",
    )
    models.add_argument("--ollama-host", type=values.text, metavar="URL", help="base URL of the Ollama server")
    models.add_argument("--ollama-model", type=values.text, metavar="NAME", help="Ollama model, for every tier")
    models.add_argument("--gemini-model", type=values.text, metavar="NAME", help="Gemini model")
    models.add_argument("--gemini-base-url", type=values.url, metavar="URL", help="base URL of the Gemini API")
    models.add_argument(
        "--openai-model", type=values.text, metavar="NAME", help="model of the OpenAI-compatible server"
    )
    models.add_argument(
        "--openai-base-url", type=values.url, metavar="URL", help="base URL of the OpenAI-compatible server"
    )
    models.add_argument("--anthropic-model", type=values.text, metavar="NAME", help="Anthropic model")
    models.add_argument("--anthropic-base-url", type=values.url, metavar="URL", help="base URL of the Anthropic API")

    models.add_argument(
        "--ollama-think", choices=["true", "false", *THINK], help="whether and how much Ollama's model thinks"
    )
    models.add_argument(
        "--openai-reasoning-effort", choices=EFFORTS, help="how much the OpenAI-compatible model reasons"
    )
    models.add_argument(
        "--openai-service-tier", type=values.text, metavar="NAME", help="tier of the OpenAI-compatible server"
    )
    models.add_argument("--anthropic-effort", choices=EFFORTS[2:], help="how much the Anthropic model works")
    models.add_argument(
        "--request-timeout",
        type=values.seconds,
        metavar="S",
        help="time limit of one request, in seconds (default: 600)",
    )

    cache = parser.add_argument_group("response cache")
    cache.add_argument(
        "--cache",
        action=argparse.BooleanOptionalAction,
        help="whether to read and write it, also for samples (default: only at temperature 0)",
    )
    _add_cache_dir(cache)

    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print results and metrics as JSON")
    verbosity = output.add_mutually_exclusive_group()
    verbosity.add_argument("--verbose", action="store_true", help="print metrics, log and tracebacks to stderr")
    verbosity.add_argument("--quiet", action="store_true", help="do not print progress")
    return parser


def parse_cache(arguments: list[str]) -> argparse.Namespace:
    """Parse the arguments of `madspark cache`. Invalid ones end the process, as in `parse`."""
    parser = Parser(
        prog="madspark cache",
        description="Show or empty the response cache. To run the workflow on the topic `cache`: `madspark -- cache`.",
        epilog="MADSPARK_CACHE_DIR and MADSPARK_CACHE_URL name the cache.",
        allow_abbrev=False,
    )
    parser.add_argument("action", choices=["stats", "clear"], help="show its size, or remove every answer")
    _add_cache_dir(parser)
    return parser.parse_strictly(arguments)


def config_changes(args: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration fields that the command line sets."""
    fields = {
        "cache_enabled": args.cache,
        "cache_dir": args.cache_dir,
        "ollama_host": args.ollama_host,
        "ollama_model_fast": args.ollama_model,
        "ollama_model_balanced": args.ollama_model,
        "gemini_model": args.gemini_model,
        "gemini_base_url": args.gemini_base_url,
        "openai_model": args.openai_model,
        "openai_base_url": args.openai_base_url,
        "anthropic_model": args.anthropic_model,
        "anthropic_base_url": args.anthropic_base_url,
        "ollama_think": {"true": True, "false": False}.get(args.ollama_think, args.ollama_think),
        "openai_reasoning_effort": args.openai_reasoning_effort,
        "openai_service_tier": args.openai_service_tier,
        "anthropic_effort": args.anthropic_effort,
        "request_timeout": args.request_timeout,
        "ollama_timeout": args.request_timeout,
    }
    return {name: value for name, value in fields.items() if value is not None}


def temperatures(args: argparse.Namespace) -> TemperatureManager | None:
    """Return the temperatures that the command line sets, or `None` for the defaults."""
    if args.temperature is not None:
        return TemperatureManager.from_base_temperature(None if args.temperature == "none" else args.temperature)
    return None if args.preset is None else TemperatureManager.from_preset(args.preset)


def _add_cache_dir(to: argparse._ActionsContainer) -> None:
    to.add_argument("--cache-dir", type=values.text, metavar="PATH", help="folder of the response cache")
