"""The command-line parser."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any, Literal, NoReturn

from madspark.utils.temperature_control import PRESETS, TemperatureManager

__all__ = ["config_changes", "parse", "parse_cache", "temperatures"]

EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]

THINK = ["low", "medium", "high", "max"]

EPILOG = """\
`madspark cache stats` shows the size of the response cache, `madspark cache clear` empties it.

API keys are read from the environment only: GOOGLE_API_KEY or GEMINI_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY,
OLLAMA_API_KEY.

exit codes:
  0    every idea completed the workflow
  1    the run failed
  2    invalid command line
  3    some ideas are degraded or failed; stderr names them with the reason
  130  cancelled with Ctrl-C
"""

STAGES = (
    "idea_generation",
    "evaluation",
    "multi_dimensional",
    "logical_inference",
    "advocacy",
    "skepticism",
    "improvement",
    "re_evaluation",
)
"""The stages with a time of their own."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line. An invalid one ends the process with one line on stderr and exit code 2."""
    parser = _Parser(
        prog="madspark",
        description="Generate ideas on a topic, criticise them and improve the best ones.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("topic", type=_text, help="the topic of the ideas")
    parser.add_argument(
        "context", nargs="?", default="", type=_optional_text, help="constraints and goals for the ideas"
    )
    parser.add_argument("--version", action=_Version)

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
        "--language", type=_text, metavar="NAME", help="language of the answers (default: that of the topic)"
    )
    run.add_argument(
        "--file", action="append", default=[], type=_file, metavar="PATH", help="attach a file; may be repeated"
    )
    run.add_argument(
        "--url", action="append", default=[], type=_url, metavar="URL", help="attach a web page; may be repeated"
    )
    run.add_argument(
        "--timeout", type=_seconds, default=1200.0, metavar="S", help="time limit of the run in seconds (default: 1200)"
    )
    run.add_argument(
        "--stage-timeout",
        action="append",
        default=[],
        type=_stage_timeout,
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
        type=_output_tokens,
        default="auto",
        metavar="N",
        help="output tokens of a call: a number, auto or unlimited (default: auto)",
    )
    run.add_argument("--no-novelty-filter", action="store_true", help="keep ideas that are similar to others")
    run.add_argument(
        "--novelty-threshold",
        type=_share,
        default=0.8,
        metavar="T",
        help="similarity from which an idea is dropped, 0-1 (default: 0.8)",
    )
    temperature = run.add_mutually_exclusive_group()
    temperature.add_argument(
        "--temperature", type=_temperature, metavar="T", help="base temperature, 0-2, or `none` to send none"
    )
    temperature.add_argument("--preset", choices=list(PRESETS), help="named set of temperatures")

    models = parser.add_argument_group("models")
    models.add_argument(
        "--provider", choices=["auto", "ollama", "gemini", "openai", "anthropic", "mock"], help="provider to start with"
    )
    models.add_argument("--tier", choices=["fast", "balanced", "quality"], help="model tier")
    models.add_argument("--no-fallback", action="store_true", help="never use another provider")
    models.add_argument("--ollama-host", type=_host, metavar="URL", help="base URL of the Ollama server")
    models.add_argument("--ollama-model", type=_text, metavar="NAME", help="Ollama model, for every tier")
    models.add_argument("--gemini-model", type=_text, metavar="NAME", help="Gemini model")
    models.add_argument("--gemini-base-url", type=_url, metavar="URL", help="base URL of the Gemini API")
    models.add_argument("--openai-model", type=_text, metavar="NAME", help="model of the OpenAI-compatible server")
    models.add_argument("--openai-base-url", type=_url, metavar="URL", help="base URL of the OpenAI-compatible server")
    models.add_argument("--anthropic-model", type=_text, metavar="NAME", help="Anthropic model")
    models.add_argument("--anthropic-base-url", type=_url, metavar="URL", help="base URL of the Anthropic API")

    models.add_argument(
        "--ollama-think", choices=["true", "false", *THINK], help="whether and how much Ollama's model thinks"
    )
    models.add_argument(
        "--openai-reasoning-effort", choices=EFFORTS, help="how much the OpenAI-compatible model reasons"
    )
    models.add_argument(
        "--openai-service-tier", type=_text, metavar="NAME", help="tier of the OpenAI-compatible server"
    )
    models.add_argument("--anthropic-effort", choices=EFFORTS[2:], help="how much the Anthropic model works")
    models.add_argument(
        "--request-timeout", type=_seconds, metavar="S", help="time limit of one request, in seconds (default: 600)"
    )

    cache = parser.add_argument_group("response cache")
    cache.add_argument("--no-cache", action="store_true", help="neither read nor write it")
    _add_cache_dir(cache)

    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print results and metrics as JSON")
    verbosity = output.add_mutually_exclusive_group()
    verbosity.add_argument("--verbose", action="store_true", help="print metrics, log and tracebacks to stderr")
    verbosity.add_argument("--quiet", action="store_true", help="do not print progress")
    return parser.parse_args(arguments)


def parse_cache(arguments: list[str]) -> argparse.Namespace:
    """Parse the arguments of `madspark cache`. Invalid ones end the process, as in `parse`."""
    parser = _Parser(
        prog="madspark cache",
        description="Show or empty the response cache. To run the workflow on the topic `cache`: `madspark -- cache`.",
        epilog="MADSPARK_CACHE_DIR and MADSPARK_CACHE_URL name the cache.",
        allow_abbrev=False,
    )
    parser.add_argument("action", choices=["stats", "clear"], help="show its size, or remove every answer")
    _add_cache_dir(parser)
    return parser.parse_args(arguments)


def config_changes(args: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration fields that the command line sets."""
    fields = {
        "cache_enabled": False if args.no_cache else None,
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
    to.add_argument("--cache-dir", type=_text, metavar="PATH", help="folder of the response cache")


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage message."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (try `{self.prog} --help`)\n")


class _Version(argparse.Action):
    """Loads the version only if the flag is used."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, help="show the version", **options)

    def __call__(self, *_: object) -> NoReturn:
        from madspark import __version__

        sys.stdout.write(f"madspark {__version__}\n")
        raise SystemExit(0)


def _text(value: str) -> str:
    if not value.strip():
        raise argparse.ArgumentTypeError("must not be blank")
    return _optional_text(value)


def _optional_text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("is not valid text in the encoding of this locale") from None
    return value


def _file(value: str) -> str:
    if not Path(value).is_file():
        raise argparse.ArgumentTypeError(f"no such file: {value}")
    return value


def _url(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if scheme not in {"http", "https"} or not rest.strip("/"):
        raise argparse.ArgumentTypeError("must be a complete URL with http:// or https://")
    return value


def _stage_timeout(value: str) -> tuple[str, float | None]:
    stage, separator, limit = value.partition("=")
    if not separator or stage not in STAGES:
        raise argparse.ArgumentTypeError(f"must be STAGE=SECONDS, with one of the stages {', '.join(STAGES)}")
    return stage, None if limit == "none" else _seconds(limit)


def _output_tokens(value: str) -> int | str:
    if value in {"auto", "unlimited"}:
        return value
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError("must be a positive whole number, auto or unlimited")
    return int(value)


def _host(value: str) -> str:
    # OLLAMA_HOST has no scheme, and its values are copied into this flag.
    return value if "://" in value else f"http://{value}"


def _number(value: str, low: float, high: float, expected: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"must be {expected}, not {value!r}")
    return number


def _seconds(value: str) -> float:
    # Longer than any run, and small enough to be added to any clock.
    return _number(value, 0.001, 1e9, "a positive number of seconds")


def _share(value: str) -> float:
    return _number(value, 0.0, 1.0, "between 0 and 1")


def _temperature(value: str) -> float | Literal["none"]:
    return "none" if value == "none" else _number(value, 0.0, 2.0, "between 0 and 2")
