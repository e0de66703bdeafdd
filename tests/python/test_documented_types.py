"""The Python code of the documentation passes the type checkers that users run, in their strict modes."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from test_documentation import BLOCK, PAGES, ROOT

if TYPE_CHECKING:
    from pathlib import Path

# Strict, but for the annotations of test functions, which no test suite has to write.
MYPY = [
    "mypy",
    "--strict",
    "--allow-untyped-defs",
    "--allow-incomplete-defs",
    "--allow-untyped-calls",
    "--config-file=",
]
# With the packages of this interpreter: the checker looks for a virtual environment on its own.
PYRIGHT = ["basedpyright", "--level", "error", "--pythonpath", sys.executable]


def module(code: str) -> str:
    """Return a block as a module: one that awaits at its top level, as in a notebook, becomes a coroutine function."""
    tree = ast.parse(code, "<block>", mode="exec", type_comments=False)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    awaits = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    has_await = any(
        isinstance(node, awaits)
        for statement in tree.body
        if not isinstance(statement, functions)
        for node in ast.walk(statement)
    )
    if not has_await:
        return code
    body = "".join(f"    {line}" if line.strip() else line for line in code.splitlines(keepends=True))
    return f"async def block() -> None:\n{body}"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each block of the documentation as a module."""
    folder = tmp_path_factory.mktemp("blocks")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start(1)) + 1
            (folder / f"{page.stem.lower()}_line_{line}.py").write_text(module(match[1]), encoding="utf-8")
    (folder / "pyrightconfig.json").write_text(
        f'{{"extraPaths": ["{ROOT / "python"}"], "typeCheckingMode": "standard"}}', encoding="utf-8"
    )
    return folder


@pytest.mark.parametrize("checker", [MYPY, PYRIGHT], ids=["mypy", "basedpyright"])
def test_documented_code_is_well_typed(checker: list[str], modules: Path) -> None:
    done = subprocess.run(  # noqa: S603  # our own arguments
        [sys.executable, "-m", *checker, "."], cwd=modules, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
