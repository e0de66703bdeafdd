"""The modules of the Python package depend on each other in one direction."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import madspark

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(madspark.__file__).parent


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules of this package that are imported at run time, also inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "madspark":
            yield from (f"madspark.{name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("madspark."):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("madspark."))
        else:
            yield from imported(node)


def dependencies(folder: Path, prefix: str) -> dict[str, set[str]]:
    """Return the modules right below `prefix` with those that each of them uses."""
    depth = prefix.count(".") + 1
    graph: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder).with_suffix("").parts
        if inside == ("__init__",):
            continue  # the package itself loads its names lazily
        used = (name.split(".") for name in imported(ast.parse(path.read_text(encoding="utf-8"))))
        below = {name[depth] for name in used if name[:depth] == prefix.split(".") and len(name) > depth}
        graph.setdefault(inside[0], set()).update(below - {inside[0]})
    return graph


@pytest.mark.parametrize("package", ["madspark", "madspark.llm", "madspark.core", "madspark.agents", "madspark.cli"])
def test_modules_have_no_cycle(package: str) -> None:
    graph = dependencies(ROOT.joinpath(*package.split(".")[1:]), package)
    assert graph
    TopologicalSorter(graph).prepare()
