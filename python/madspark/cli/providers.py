"""Which providers the command uses, and what it says before it uses one that may cost money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from madspark.cli.names import name_of
from madspark.cli.outcome import report
from madspark.cli.wrap import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from madspark.core.gate import ProviderUse
    from madspark.llm.config import LLMConfig

__all__ = ["Announcements", "allows_fallback", "named_provider"]

_HOSTED = frozenset({"gemini", "openai", "anthropic"})


def named_provider(args: argparse.Namespace, config: LLMConfig) -> str | None:
    """Return the provider that the command line names, otherwise the environment; None for `auto`."""
    name = args.provider or config.default_provider
    return None if name == "auto" else name


def allows_fallback(args: argparse.Namespace, config: LLMConfig) -> bool:
    """Return whether other providers may answer. MADSPARK_FALLBACK_ENABLED counts only if none is named."""
    if args.fallback is not None:
        return bool(args.fallback)
    return named_provider(args, config) is None and config.fallback_enabled


class Announcements:
    """Reports the providers that nobody named, before the first request goes there.

    `before` is called before a line is written.
    """

    def __init__(self, named: str | None, tier: str, before: Callable[[], None], *, quiet: bool) -> None:
        self._named = named
        self._tier = tier
        self._before = before
        self._quiet = quiet

    def __call__(self, use: ProviderUse) -> None:
        """Report `use` if it may cost money, or if it replaces another provider."""
        if use.provider == self._named or (use.provider not in _HOSTED and (use.instead_of is None or self._quiet)):
            return
        line = f"using {name_of(use.provider)} ({use.model})"
        if use.instead_of is not None:
            reason = " ".join(clean(use.reason or "it is not available").split()).rstrip(".")
            line += f" instead of {name_of(use.instead_of)}: {reason}"
        if use.provider in _HOSTED:
            why = "" if use.instead_of is not None else f"; it is the first choice of the tier {self._tier}"
            how = "--provider ollama" if self._named is None else "leaving out --fallback"
            line += f"{why}. It may cost money; {how} prevents that"
        self._before()
        report(line)
