"""Forking with an open cache: parent and child continue, each with its own files."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

import pytest

from madspark import LLMConfig
from madspark.llm import cache

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="lists open files in /proc")

_TABLES = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
CREATE TABLE answers (
    key BLOB NOT NULL UNIQUE, used INTEGER NOT NULL, expires INTEGER NOT NULL, entry BLOB NOT NULL
) STRICT;
CREATE INDEX answers_by_use ON answers (used);
CREATE INDEX answers_by_end ON answers (expires);
INSERT INTO answers VALUES (x'01', 1, 9000000000000, x'01'), (x'02', 2, 9000000000000, x'02');
PRAGMA application_id = 0x6d616463;
PRAGMA user_version = 1;
"""


@pytest.fixture
def config(tmp_path: Path) -> LLMConfig:
    """A cache with two answers."""
    with sqlite3.connect(tmp_path / "answers.sqlite3") as database:
        database.executescript(_TABLES)
    database.close()
    return LLMConfig(cache_dir=tmp_path)


def _open_files(folder: str) -> set[str]:
    targets = {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    return {target for target in targets if target.startswith(folder)}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_inherits_no_files_and_both_processes_continue(config: LLMConfig) -> None:
    assert cache.stats(config)["disk_entries"] == 2
    assert _open_files(config.cache_dir)
    for _ in range(3):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                inherited = _open_files(config.cache_dir)
                code = 0 if not inherited and cache.stats(config)["disk_entries"] == 2 else 2
            finally:
                os._exit(code)
        # The parent uses the cache before its child has ended.
        assert cache.stats(config)["disk_entries"] == 2
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cache.clear(config) == 2
