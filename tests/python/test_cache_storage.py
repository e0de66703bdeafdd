"""What lies on disk after calls and a run, as docs/reference/storage.md says: answers, and nothing that was sent."""

from __future__ import annotations

import json
import sqlite3
import stat
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AsyncCoordinator, LLMConfig, LLMRouter
from madspark.llm import cache
from wire import model_requests

if TYPE_CHECKING:
    from pathlib import Path

    from madspark.testing import Simulator

pytestmark = [pytest.mark.cache, pytest.mark.skipif(sys.platform != "linux", reason="file modes")]

KEY = "key-of-the-test-0123456789"

SECRETS = {
    "prompt": "zanzibar-prompt",
    "system": "quetzal-system",
    "file": "wombat-file",
    "topic": "narwhal-topic",
    "context": "axolotl-context",
    "field": "pangolin_field",
}
"""What is sent, in words that no answer contains."""


class Answer(BaseModel):
    """The requested output."""

    pangolin_field: str


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the cache. It does not exist yet."""
    return tmp_path / "deep" / "answers"


@pytest.fixture
def config(madspark_simulator: Simulator, folder: Path) -> LLMConfig:
    """Settings with a cache and a key."""
    return LLMConfig(
        gemini_base_url=madspark_simulator.gemini_url,
        gemini_api_key=KEY,
        ollama_host=madspark_simulator.ollama_url,
        cache_dir=folder,
    )


def rows(folder: Path) -> list[tuple[bytes, int, int, bytes]]:
    """Return the rows of the table, and check that there is no other table."""
    with closing(sqlite3.connect(f"file:{folder / 'answers.sqlite3'}?mode=ro", uri=True)) as database:
        tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        assert tables == [("answers",)]
        columns = [row[1] for row in database.execute("PRAGMA table_info(answers)")]
        assert columns == ["key", "used", "expires", "entry"]
        return database.execute("SELECT key, used, expires, entry FROM answers").fetchall()


def content(folder: Path) -> bytes:
    """Return the bytes of every file."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_the_answers_of_calls_and_runs_are_stored_and_nothing_that_was_sent(
    config: LLMConfig, folder: Path, madspark_simulator: Simulator
) -> None:
    router = LLMRouter("gemini", False, config=config)
    madspark_simulator.on(contains=SECRETS["prompt"], times=1, json={"pangolin_field": "the answer to the call"})
    await router.agenerate_structured(
        SECRETS["prompt"], Answer, SECRETS["system"], files=[SECRETS["file"].encode()], max_tokens=500
    )
    await AsyncCoordinator(router=router).run(SECRETS["topic"], SECRETS["context"], use_cache=True)
    # A sample is not stored.
    madspark_simulator.on(text="the okapi sample", times=1)
    assert router.generate(SECRETS["prompt"], temperature=1.0)[0] == "the okapi sample"

    sent = b"".join(request.body for request in model_requests(madspark_simulator))
    found = content(folder)
    for name, secret in SECRETS.items():
        assert secret.encode() in sent, name
        if name != "field":
            assert secret.encode() not in found, name
    assert KEY.encode() not in found
    assert config.gemini_base_url.encode() not in found
    assert b"the okapi sample" not in found
    # Answers are stored as they are: every user who can read the file can read them.
    assert b"the answer to the call" in found

    stored = rows(folder)
    assert len(stored) == len(model_requests(madspark_simulator)) - 1
    for key, used, expires, entry in stored:
        assert len(key) == 32
        assert 0 <= expires - used - 86_400_000 < 60_000 or expires > used
        record: dict[str, Any] = json.loads(entry[17:])
        assert record.keys() <= {"p", "m", "u", "c", "f", "d", "r", "t"}
        assert (record["p"], record["m"]) == ("gemini", config.gemini_model)
        assert len(record["u"]) == 5


async def test_the_reasoning_of_a_model_is_stored_with_its_answer(
    config: LLMConfig, folder: Path, madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", text="<think>the model pondered</think>The answer")
    router = LLMRouter("ollama", False, config=config)
    text, response = router.generate("hello", temperature=0.0)
    [(_, _, _, entry)] = rows(folder)
    record = json.loads(entry[17:])
    assert (record["t"], record["r"]) == (text, response.reasoning) == ("The answer", "the model pondered")


def test_only_the_owner_can_read_a_new_folder(config: LLMConfig, folder: Path) -> None:
    router = LLMRouter("ollama", False, config=config)
    router.generate("hello", temperature=1.0)
    assert not folder.exists(), "a sample creates nothing"
    router.generate("hello", temperature=0.0)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    names = {path.name for path in folder.iterdir()}
    assert {"answers.sqlite3", "lock"} <= names
    assert names <= {"answers.sqlite3", "answers.sqlite3-wal", "answers.sqlite3-shm", "lock"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_clearing_leaves_no_answer_in_the_files(config: LLMConfig, folder: Path, madspark_simulator: Simulator) -> None:
    router = LLMRouter("ollama", False, config=config)
    for number in range(200):
        madspark_simulator.on("ollama", text=f"okapi {number} " * 20, times=1)
        router.generate(f"question {number}", temperature=0.0)
    (folder / "answers.damaged").write_text("okapi")
    assert b"okapi" in content(folder)
    assert cache.clear(config) == 200
    assert b"okapi" not in content(folder)
    assert not (folder / "answers.damaged").exists()
