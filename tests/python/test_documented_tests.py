"""The tests of the documentation, run as a reader's suite runs them: by pytest, with pytest-asyncio's default mode."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from test_documentation import BLOCK

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/guides/testing.md"])
def test_the_documented_tests_pass_without_settings(page: str, tmp_path: Path) -> None:
    blocks = [block for block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) if "def test_" in block]
    for number, block in enumerate(blocks):
        (tmp_path / f"test_block_{number}.py").write_text(block, encoding="utf-8")
    names = [name for block in blocks for name in re.findall(r"^(?:async )?def (test_\w+)", block, re.MULTILINE)]
    assert names
    done = subprocess.run(  # noqa: S603  # our own pages
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "-v",
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "mode=Mode.STRICT" in done.stdout
    assert sorted(re.findall(r"::(\w+) PASSED", done.stdout)) == sorted(names)
