"""Runs every Python block of the documentation, and the examples, against the simulator."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from madspark import LLMConfig, LLMRouter

if TYPE_CHECKING:
    from madspark.testing import Simulator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#)([^)#]+)[^)]*\)")


def blocks() -> list[Any]:
    """Return the blocks with page and line. They are padded, so that a traceback names the line of the page."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            lines = text.count("\n", 0, match.start(1))
            found.append(pytest.param(page, "\n" * lines + match[1], id=f"{page.name}:{lines + 1}"))
    return found


@pytest.mark.parametrize(("page", "code"), blocks())
async def test_a_block_runs(
    page: Path,
    code: str,
    request: pytest.FixtureRequest,
    madspark_simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # `LLMConfig.from_env()` reads these, so that a block needs no code for the test.
    monkeypatch.setenv("OLLAMA_HOST", madspark_simulator.ollama_url)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    names: dict[str, Any] = {"__name__": "__main__"}
    async with asyncio.timeout(30):
        # `eval`, because `exec` does not return the coroutine of a top-level await.
        top_level = eval(  # noqa: S307  # our own pages
            compile(code, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names
        )
        if inspect.isawaitable(top_level):
            await top_level
        for name, test in list(names.items()):
            if name.startswith("test_"):
                fixtures = {fixture: request.getfixturevalue(fixture) for fixture in inspect.signature(test).parameters}
                outcome = test(**fixtures)
                if inspect.isawaitable(outcome):
                    await outcome


def test_the_main_pages_have_blocks() -> None:
    pages = {page.values[0].name for page in blocks()}
    assert pages >= {"README.md", "calls.md", "migration.md", "testing.md"}


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    source = (ROOT / "src" / "config" / "environment.rs").read_text(encoding="utf-8")
    read = set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"', source.partition("#[cfg(test)]")[0]))
    assert len(read) > 30
    fields = set(inspect.signature(LLMConfig).parameters) | set(inspect.signature(LLMRouter).parameters)
    missing = {name for name in read | fields if f"`{name}`" not in page}
    assert missing == set()
    # The TLS library reads these.
    by_libraries = {"SSL_CERT_FILE", "SSL_CERT_DIR"}
    assert set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`", page)) - by_libraries == read


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_targets_of_links_exist(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_quickstart_runs(madspark_simulator: Simulator) -> None:
    done = subprocess.run(  # noqa: S603  # our own example
        [sys.executable, ROOT / "examples" / "quickstart.py"],
        env={**os.environ, "OLLAMA_HOST": madspark_simulator.ollama_url},
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "gemma3:4b" in done.stdout.splitlines()[0]
    assert "100% Done" in done.stdout
    assert sum(line.startswith("ok ") for line in done.stdout.splitlines()) == 2


def test_the_example_of_a_resilient_call_runs() -> None:
    done = subprocess.run(  # noqa: S603  # our own example
        [sys.executable, ROOT / "examples" / "resilient.py"],
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    busy, recovered, repaired, slow, failed = (part.splitlines()[1:] for part in done.stdout.strip().split("\n\n"))
    assert "was overloaded (HTTP 503)" in busy[0]
    assert "answered" in busy[1]
    assert "its reply was repaired" in recovered[0]
    assert recovered[-1] == "score 9, from ollama"
    assert "was sent the errors of its reply and answered" in repaired[1]
    assert any("was tried in parallel" in line and "answered" in line for line in slow)
    assert slow[-1].endswith("from gemini")
    assert failed[0] == "No provider answered."
    assert any(line.startswith("Available again: ") for line in failed)
