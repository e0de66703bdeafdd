"""Statistics and clearing of the response cache.

Answers are stored in memory, in the folder `LLMConfig(cache_dir=...)`, which any number of processes may share, and,
with `LLMConfig(cache_url=...)`, on a Redis or Valkey server for several machines. The key of an answer is a hash of
everything that affects it: the encoded request, with model, address, attachments and schema, and the API key, so that
two API keys never share an answer.
"""

from typing import TypedDict

from madspark import _core
from madspark.llm.config import LLMConfig

__all__ = ["CacheStats", "clear", "stats"]


class CacheStats(TypedDict):
    """The contents of the cache of one folder and one server, and its use by this process."""

    memory_hits: int
    """Answers found in memory."""
    disk_hits: int
    """Answers found on disk."""
    shared_hits: int
    """Answers found on the shared server."""
    misses: int
    """Lookups that found no answer."""
    memory_entries: int
    memory_bytes: int
    disk_entries: int | None
    """Answers on disk, including those of other processes. None if the disk cannot be used."""
    disk_bytes: int | None
    dir: str | None
    """The folder. None if the user has no home directory."""
    shared_up: bool | None
    """Whether the shared server is reachable. None without a server, and before its first use."""
    errors: int
    """Errors of the disk and the server, which did not fail any call."""


def stats(config: LLMConfig | None = None) -> CacheStats:
    """Return the statistics of the cache of `config`. None means `LLMConfig.from_env()`."""
    return _core.cache_stats(LLMConfig.from_env() if config is None else config)


def clear(config: LLMConfig | None = None) -> int:
    """Remove every answer from the cache of `config`, including the shared server.

    Other processes keep the answers in their memory until these are too old.

    Args:
        config: None means `LLMConfig.from_env()`.

    Returns:
        The number of removed answers.

    Raises:
        OSError: If the folder or the server cannot be used.
    """
    return _core.cache_clear(LLMConfig.from_env() if config is None else config)
