"""`madspark cache`: shows the size of the response cache, and empties it."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from madspark.cli.arguments import parse_cache
from madspark.cli.failures import without_password
from madspark.cli.outcome import FAILED, OK, WRONG_USAGE, report

if TYPE_CHECKING:
    from madspark.llm.cache import CacheStats
    from madspark.llm.config import LLMConfig

__all__ = ["run"]

_MB = 1024 * 1024


def run(arguments: list[str]) -> int:
    """Run `madspark cache` with `arguments` and return the exit code."""
    args = parse_cache(arguments)
    from madspark.llm import cache
    from madspark.llm.config import LLMConfig

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="madspark: %(message)s")
    try:
        config = LLMConfig.from_env().replace(**({} if args.cache_dir is None else {"cache_dir": args.cache_dir}))
    except ValueError as error:
        report(str(error))
        return WRONG_USAGE
    if args.action == "stats":
        stats = cache.stats(config)
        sys.stdout.write(_as_text(stats, config))
        return FAILED if stats["disk_entries"] is None else OK
    try:
        removed = cache.clear(config)
    except OSError as error:
        report(str(error))
        return FAILED
    sys.stdout.write(f"removed {removed} {_answers(removed)}\n")
    return OK


def _as_text(stats: CacheStats, config: LLMConfig) -> str:
    lines = [f"folder  {stats['dir'] or 'none: the user has no home directory'}"]
    if stats["disk_entries"] is None or stats["disk_bytes"] is None:
        lines.append("        it cannot be used")
    else:
        size = f"{stats['disk_bytes'] / _MB:.1f} MB of {config.cache_max_size_mb} MB"
        lines.append(f"holds   {stats['disk_entries']} {_answers(stats['disk_entries'])}, {size}")
    if config.cache_url is not None:
        lines.append(f"server  {without_password(config.cache_url)}")
    if not config.cache_enabled:
        lines.append("The cache is disabled by MADSPARK_CACHE_ENABLED.")
    return "\n".join(lines) + "\n"


def _answers(count: int) -> str:
    return "answer" if count == 1 else "answers"
