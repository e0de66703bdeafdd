"""The entry points of a run share one set of options."""

from __future__ import annotations

import inspect
import typing
from typing import Any

import pytest

from madspark import AsyncCoordinator, Coordinator, RunOptions, StartOptions


def test_twins_have_the_same_signatures_and_documentation() -> None:
    for name in ("run", "run_workflow"):
        twin, method = getattr(Coordinator, name), getattr(AsyncCoordinator, name)
        assert inspect.signature(twin) == inspect.signature(method)
        assert (twin.__qualname__, twin.__doc__) == (f"Coordinator.{name}", method.__doc__)
        assert not inspect.iscoroutinefunction(twin)


def test_keyword_arguments_are_run_options() -> None:
    parameters = typing.get_type_hints(AsyncCoordinator.run_workflow)
    options = typing.get_type_hints(RunOptions)
    assert set(parameters) - {"topic", "context", "return"} == set(options) - {
        "batch_tokens",
        "on_provider",
        "on_stage",
    }
    assert all(options[name] == kind for name, kind in parameters.items() if name in options)
    assert set(typing.get_type_hints(StartOptions)) == {*options, "buffer", "patience"}


def test_an_unknown_option_names_the_nearest() -> None:
    coordinator: Any = Coordinator()
    with pytest.raises(TypeError, match="unknown option 'modes': did you mean 'mode'"):
        coordinator.run("a topic", modes="batch")
    with pytest.raises(TypeError, match="unknown option 'num_top': did you mean 'num_top_candidates'"):
        coordinator.run("a topic", num_top=1)
    with pytest.raises(TypeError, match="unknown option 'tea': the options are num_top_candidates, "):
        coordinator.run("a topic", tea=1)
