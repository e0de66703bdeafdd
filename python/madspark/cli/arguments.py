"""What the command line understands."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any, NoReturn

from madspark.utils.temperature_control import PRESETS, TemperatureManager

__all__ = ["EXIT_CODES", "config_changes", "parse", "parse_cache", "temperatures"]

EXIT_CODES = """\
exit codes:
  0    every idea went through the whole workflow
  1    the run failed
  2    the command line is wrong
  3    some ideas are degraded or failed; stderr tells which and why
  130  cancelled with Ctrl-C
"""

KEYS = """\
API keys come from the environment alone: GOOGLE_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY.
"""

CACHE = """\
`madspark cache stats` tells what the response cache holds, `madspark cache clear` empties it.
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line. A wrong one ends the process with one line on stderr and code 2."""
    parser = _Parser(
        prog="madspark",
        description="Generate ideas on a topic, criticise them and improve the best ones.",
        epilog=f"{CACHE}\n{KEYS}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("topic", type=_text, help="what the ideas are about")
    parser.add_argument("context", nargs="?", default="", type=_optional_text, help="what they have to respect")
    parser.add_argument("--version", action=_Version)

    run = parser.add_argument_group("the run")
    run.add_argument("--top", type=int, choices=range(1, 6), default=3, metavar="N", help="ideas to keep, 1-5 (3)")
    run.add_argument("--enhanced", action="store_true", help="let an advocate and a skeptic argue about each idea")
    run.add_argument(
        "--multi-dimensional", action="store_true", help="rate each idea on seven dimensions, before and after"
    )
    run.add_argument("--logical-inference", action="store_true", help="reason about what follows from each idea")
    run.add_argument(
        "--inference-type",
        choices=["full", "causal", "constraints", "contradiction", "implications"],
        help="what to reason about; implies --logical-inference",
    )
    run.add_argument("--language", type=_text, metavar="NAME", help="language of the answers (that of the topic)")
    run.add_argument(
        "--file", action="append", default=[], type=_file, metavar="PATH", help="attach a file; repeatable"
    )
    run.add_argument("--url", action="append", default=[], type=_url, metavar="URL", help="attach a page; repeatable")
    run.add_argument("--timeout", type=_seconds, default=1200.0, metavar="S", help="seconds for the run (1200)")
    run.add_argument("--no-novelty-filter", action="store_true", help="keep ideas that resemble each other")
    run.add_argument(
        "--novelty-threshold",
        type=_share,
        default=0.8,
        metavar="T",
        help="similarity, 0-1, from which an idea is dropped (0.8)",
    )
    warmth = run.add_mutually_exclusive_group()
    warmth.add_argument("--temperature", type=_temperature, metavar="T", help="base temperature, 0-2")
    warmth.add_argument("--preset", choices=list(PRESETS), help="temperatures by name")

    models = parser.add_argument_group("the models")
    models.add_argument(
        "--provider", choices=["auto", "ollama", "gemini", "openai", "anthropic", "mock"], help="where to start"
    )
    models.add_argument("--tier", choices=["fast", "balanced", "quality"], help="how much model")
    models.add_argument("--no-fallback", action="store_true", help="never ask another provider")
    models.add_argument("--ollama-host", type=_host, metavar="URL", help="base URL of the Ollama server")
    models.add_argument("--ollama-model", type=_text, metavar="NAME", help="Ollama model, whatever the tier")
    models.add_argument("--gemini-model", type=_text, metavar="NAME", help="Gemini model")
    models.add_argument("--gemini-base-url", type=_url, metavar="URL", help="base URL of the Gemini API")
    models.add_argument("--openai-model", type=_text, metavar="NAME", help="model of the OpenAI-compatible server")
    models.add_argument("--openai-base-url", type=_url, metavar="URL", help="base URL of that server")
    models.add_argument("--anthropic-model", type=_text, metavar="NAME", help="Anthropic model")
    models.add_argument("--anthropic-base-url", type=_url, metavar="URL", help="base URL of the Anthropic API")

    cache = parser.add_argument_group("the response cache")
    cache.add_argument("--no-cache", action="store_true", help="take no answer from it and keep none")
    _add_cache_dir(cache)

    output = parser.add_argument_group("the output")
    output.add_argument("--json", action="store_true", help="print results and metrics as JSON")
    told = output.add_mutually_exclusive_group()
    told.add_argument("--verbose", action="store_true", help="tell more on stderr: metrics, log, tracebacks")
    told.add_argument("--quiet", action="store_true", help="show no progress")
    return parser.parse_args(arguments)


def parse_cache(arguments: list[str]) -> argparse.Namespace:
    """Read what follows `madspark cache`. A wrong command line ends the process as `parse` does."""
    parser = _Parser(
        prog="madspark cache",
        description="Look at the response cache, or empty it. A run on a topic of this name: `madspark -- cache`.",
        epilog="MADSPARK_CACHE_DIR and MADSPARK_CACHE_URL name the cache.",
        allow_abbrev=False,
    )
    parser.add_argument("action", choices=["stats", "clear"], help="tell what it holds, or remove every answer")
    _add_cache_dir(parser)
    return parser.parse_args(arguments)


def config_changes(args: argparse.Namespace) -> dict[str, Any]:
    """Tell which fields of the configuration the command line sets."""
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
    }
    return {name: value for name, value in fields.items() if value is not None}


def temperatures(args: argparse.Namespace) -> TemperatureManager | None:
    """Tell the temperatures that the command line sets; `None` for the workflow's own."""
    if args.temperature is not None:
        return TemperatureManager.from_base_temperature(args.temperature)
    return None if args.preset is None else TemperatureManager.from_preset(args.preset)


def _add_cache_dir(to: argparse._ActionsContainer) -> None:
    to.add_argument("--cache-dir", type=_text, metavar="PATH", help="folder of the response cache")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the whole usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (try `{self.prog} --help`)\n")


class _Version(argparse.Action):
    """Looks the version up only when asked for."""

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
        raise argparse.ArgumentTypeError("is not valid text in this locale's encoding") from None
    return value


def _file(value: str) -> str:
    if not Path(value).is_file():
        raise argparse.ArgumentTypeError(f"no such file: {value}")
    return value


def _url(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if scheme not in {"http", "https"} or not rest.strip("/"):
        raise argparse.ArgumentTypeError("must be a whole address with http:// or https://")
    return value


def _host(value: str) -> str:
    # Ollama's own variable is written without a scheme; its flag may be too.
    return value if "://" in value else f"http://{value}"


def _number(value: str, low: float, high: float, wanted: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"must be {wanted}, not {value!r}")
    return number


def _seconds(value: str) -> float:
    # Longer than any run, and short enough for every clock it is added to.
    return _number(value, 0.001, 1e9, "a positive number of seconds")


def _share(value: str) -> float:
    return _number(value, 0.0, 1.0, "between 0 and 1")


def _temperature(value: str) -> float:
    return _number(value, 0.0, 2.0, "between 0 and 2")
