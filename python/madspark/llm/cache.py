"""The response cache: what it holds, and how to clear it.

Answers are kept in memory, in the folder `LLMConfig(cache_dir=...)`, which any number of processes share, and, with
`LLMConfig(cache_url=...)`, on a Redis or Valkey server that several machines share. An answer is found again by a hash
of everything that may change it: the request as it is sent, with the model, the address, the attachments and the
schema, and the API key, so that two keys never share an answer.
"""

from __future__ import annotations

from typing import TypedDict

from madspark import _core
from madspark.llm.config import LLMConfig

__all__ = ["CacheStats", "clear", "stats"]


class CacheStats(TypedDict):
    """What the cache of one folder and one server has done in this process, and what it holds."""

    memory_hits: int
    """Answers found in memory."""
    disk_hits: int
    """Answers found on disk."""
    shared_hits: int
    """Answers found on the shared server."""
    misses: int
    """Answers found nowhere."""
    memory_entries: int
    memory_bytes: int
    disk_entries: int | None
    """Answers on disk, those of other processes among them; None where the disk cannot be used."""
    disk_bytes: int | None
    dir: str | None
    """The folder; None where the user has no home to put it in."""
    shared_up: bool | None
    """Whether the shared server answers; None without one, and before it was asked."""
    errors: int
    """Things that went wrong with the disk or the server; calls went on without them."""


def stats(config: LLMConfig | None = None) -> CacheStats:
    """Count what is in the cache that `config` names; None means `LLMConfig.from_env()`."""
    return _core.cache_stats(_or_environment(config))


def clear(config: LLMConfig | None = None) -> int:
    """Remove every answer from the cache that `config` names, the shared server's included.

    Other processes keep what they have in memory until it is too old for them.

    Args:
        config: None means `LLMConfig.from_env()`.

    Returns:
        How many answers there were.

    Raises:
        OSError: The folder or the server cannot be used.
    """
    return _core.cache_clear(_or_environment(config))


def _or_environment(config: LLMConfig | None) -> LLMConfig:
    return LLMConfig.from_env() if config is None else config
