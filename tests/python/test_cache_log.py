"""Log records of an unusable cache: one warning, without the password."""

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

PASSWORD = "the-password"  # noqa: S105  # a made-up one


class RecordEvent(logging.Handler):
    """Sets an event when there is a record."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.emitted = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Set the event."""
        del record
        self.emitted.set()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings about the cache. Waits for the first one, as they come from background threads."""
    # Added after the handler of `caplog`, which therefore has the record first.
    event = RecordEvent(logging.WARNING)
    logging.getLogger().addHandler(event)
    try:
        found = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
        if not found and event.emitted.wait(10):
            found = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    finally:
        logging.getLogger().removeHandler(event)
    return found


def test_an_unreachable_server_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        config = LLMConfig(cache_dir=tmp_path / "cache", cache_url=f"redis://:{PASSWORD}@127.0.0.1:{port}/0")
        with caplog.at_level(logging.INFO, "madspark.core"):
            for _ in range(5):
                with pytest.raises(OSError, match="could not be cleared"):
                    cache.clear(config)
            assert cache.stats(config)["shared_up"] is False
            [warning] = warnings_of(caplog)
    assert f"127.0.0.1:{port}" in warning
    assert "connection refused" in warning
    assert PASSWORD not in caplog.text


def test_a_damaged_database_is_logged_once_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "answers.sqlite3").write_text("no database at all" * 1000)
    config = LLMConfig(cache_dir=tmp_path)
    with caplog.at_level(logging.INFO, "madspark.core"):
        for _ in range(3):
            assert cache.stats(config)["disk_entries"] == 0
        [warning] = warnings_of(caplog)
    assert str(tmp_path) in warning
    assert "damaged" in warning
    assert (tmp_path / "answers.damaged").read_text().startswith("no database")
