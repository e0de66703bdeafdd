"""What the log says about a cache that cannot be used: once, and never the password."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from madspark import LLMConfig
from madspark.llm import cache

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "word-of-the-server"  # noqa: S105  # a made-up one


class Bell(logging.Handler):
    """Tells that there was a record."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.rung = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Ring."""
        del record
        self.rung.set()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings about the cache; they come from threads of its own, so the first one is waited for."""
    # Behind the handler of `caplog`: what it tells has been taken down.
    bell = Bell(logging.WARNING)
    logging.getLogger().addHandler(bell)
    try:
        found = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
        if not found and bell.rung.wait(10):
            found = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    finally:
        logging.getLogger().removeHandler(bell)
    return found


def test_a_server_that_is_down_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        config = LLMConfig(cache_dir=tmp_path / "cache", cache_url=f"redis://:{PASSWORD}@127.0.0.1:{port}/0")
        with caplog.at_level(logging.INFO, "madspark.core"):
            for _ in range(5):
                with pytest.raises(OSError, match="could not be cleared"):
                    cache.clear(config)
            assert cache.stats(config)["shared_up"] is False
            [told] = warnings_of(caplog)
    assert f"127.0.0.1:{port}" in told
    assert "connection refused" in told
    assert PASSWORD not in caplog.text


def test_a_damaged_database_is_told_once_and_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "answers.sqlite3").write_text("no database at all" * 1000)
    config = LLMConfig(cache_dir=tmp_path)
    with caplog.at_level(logging.INFO, "madspark.core"):
        for _ in range(3):
            assert cache.stats(config)["disk_entries"] == 0
        [told] = warnings_of(caplog)
    assert str(tmp_path) in told
    assert "damaged" in told
    assert (tmp_path / "answers.damaged").read_text().startswith("no database")
