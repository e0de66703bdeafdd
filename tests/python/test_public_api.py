"""The public API can be discovered: names, signatures, type hints, completions and help."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import pickle
import pkgutil
import pydoc
import subprocess
import sys
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jedi  # type: ignore[import-untyped]
import pytest

import madspark
from madspark import LLMConfig, LLMRouter
from madspark.llm import options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from madspark.llm.options import ProviderName
    from madspark.testing import Simulator

MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(madspark.__path__, "madspark.")
    if not any(part.startswith("_") for part in name.split("."))
    and not name.startswith(("madspark.cli", "madspark.testing.plugin"))
)


def names_of(module: ModuleType) -> list[str]:
    """Return the public names of a module: its `__all__`, or what it defines itself."""
    defined = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return getattr(module, "__all__", [name for name in defined if not name.startswith("_")])


TWINS = [
    ("generate", "agenerate"),
    ("generate_structured", "agenerate_structured"),
    ("generate_structured_batch", "agenerate_structured_batch"),
    ("stream", "astream"),
    ("stream_structured", "astream_structured"),
    ("health_status", "ahealth_status"),
]


def public_callables() -> Iterator[Any]:
    """Every public function, class and method of the package, once."""
    seen = set()
    for name in ["madspark", *MODULES]:
        module = importlib.import_module(name)
        for attribute in names_of(module):
            value = getattr(module, attribute)
            owners = [value] if inspect.isclass(value) and value.__module__.startswith("madspark") else []
            members = [(attribute, value), *((m, v) for owner in owners for m, v in inspect.getmembers(owner))]
            for member, candidate in members:
                is_ours = (getattr(candidate, "__module__", None) or "").startswith("madspark")
                if not callable(candidate) or not is_ours or id(candidate) in seen:
                    continue
                if member.startswith("_") and member != "__init__":
                    continue
                if inspect.isclass(candidate) and not inspect.isfunction(candidate.__init__):
                    continue  # a TypedDict, an extension class or an exception without its own constructor
                seen.add(id(candidate))
                yield pytest.param(candidate, id=f"{name}.{attribute}.{member}")


@pytest.mark.parametrize("value", [*public_callables()])
def test_type_hints_and_signatures_are_available_at_run_time(value: Callable[..., Any]) -> None:
    typing.get_type_hints(value)
    inspect.signature(value)


@pytest.mark.parametrize("name", ["madspark", *MODULES])
def test_every_public_name_can_be_imported_and_listed(name: str) -> None:
    module = importlib.import_module(name)
    assert [attribute for attribute in names_of(module) if not hasattr(module, attribute)] == []
    assert set(names_of(module)) <= set(dir(module))


@pytest.mark.parametrize(("sync", "coroutine"), TWINS)
def test_twins_take_the_same_arguments(sync: str, coroutine: str) -> None:
    first, second = (inspect.signature(getattr(LLMRouter, name)) for name in (sync, coroutine))
    assert first.parameters == second.parameters


@pytest.mark.parametrize(
    ("method", "accepted", "leading"),
    [
        ("generate", options.GenerateOptions, 4),
        ("generate_structured", options.StructuredOptions, 5),
        ("generate_structured_batch", options.StructuredOptions, 5),
        ("stream", options.StreamOptions, 4),
        ("stream_structured", options.StructuredStreamOptions, 5),
    ],
)
def test_a_method_takes_the_options_of_its_type(method: str, accepted: Any, leading: int) -> None:
    names = list(inspect.signature(getattr(LLMRouter, method)).parameters)[leading:]
    assert set(names) - {"on_stream_error"} == set(accepted.__annotations__)
    hints, parameters = typing.get_type_hints(accepted), typing.get_type_hints(getattr(LLMRouter, method))
    assert {name: parameters[name] for name in hints} == hints


def test_help_lists_the_methods_of_a_router_in_order() -> None:
    text = pydoc.plain(pydoc.render_doc(LLMRouter))
    assert "Method resolution order" not in text
    own = [name for name in vars(LLMRouter) if not name.startswith("_") and inspect.isfunction(vars(LLMRouter)[name])]
    assert own[:2] == ["generate", "agenerate"]
    assert [name for pair in TWINS[:5] for name in pair] == own[:10]
    assert own[10:] == ["get_metrics", "reset_metrics", "health_status", "ahealth_status"]


def test_the_stub_of_the_package_has_the_same_names() -> None:
    stub = ast.parse(Path(madspark.__file__).with_name("__init__.pyi").read_text(encoding="utf-8"))
    names = {name.asname for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert names == {*madspark.__all__, "schemas"} - {"__version__"}


def test_an_editor_completes_the_names_of_the_package() -> None:
    found = {completion.name for completion in jedi.Script("from madspark import ").complete(1, 21)}
    assert found >= set(madspark.__all__)
    methods = {completion.name for completion in jedi.Script("import madspark\nmadspark.LLMRouter.").complete(2, 19)}
    assert {name for pair in TWINS for name in pair} <= methods


@pytest.mark.parametrize("method", ["generate_structured", "agenerate_structured", "generate_structured_batch"])
async def test_one_name_of_the_output_bound_is_enough(method: str, madspark_simulator: Simulator) -> None:
    router = LLMRouter("ollama", config=LLMConfig(ollama_host=madspark_simulator.ollama_url, cache_enabled=False))
    call: Any = getattr(router, method)
    question = ["Why?"] if method.endswith("batch") else "Why?"
    with pytest.raises(TypeError, match="pass max_tokens or token_budget, not both"):
        await call(question, list[str], max_tokens=5, token_budget=5)
    assert madspark_simulator.requests == []


@pytest.mark.parametrize("name", ["max_tokens", "token_budget"])
async def test_both_names_of_the_output_bound_are_accepted(
    name: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on(json=["Moss"])
    router: Any = madspark_router(primary_provider="ollama")
    router.generate_structured("Why?", list[str], **{name: 70})
    await router.agenerate_structured("Why?", list[str], **{name: 70})
    await router.agenerate_structured_batch(["Why?"], list[str], **{name: 70})
    assert list(router.stream_structured("Why?", list[str], **{name: 70}))
    assert [request.json["options"]["num_predict"] for request in madspark_simulator.requests] == [70] * 4


async def test_the_default_temperature_is_that_of_the_configuration_or_zero(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", default_temperature=0.9)
    router.generate("Why?")
    await router.agenerate("Why?")
    assert list(router.stream("Why?"))
    router.generate_structured("Why?", list[str], temperature="default")
    router.generate_structured("Why?", list[str])
    assert list(router.stream_structured("Why?", list[str]))
    sent = [request.json["options"]["temperature"] for request in madspark_simulator.requests]
    assert sent == [0.9, 0.9, 0.9, 0.9, 0.0, 0.0]


@pytest.mark.parametrize("provider", ["ollama", "gemini", "openai", "anthropic"])
async def test_no_temperature_is_sent_if_it_is_none(
    provider: ProviderName, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    router.generate("Why?", temperature=None)
    await router.agenerate_structured("Why?", list[str], temperature=None)
    assert list(router.stream("Why?", temperature=None))
    assert [event async for event in router.astream_structured("Why?", list[str], temperature=None)]
    assert len(madspark_simulator.requests) == 4
    assert not any("temperature" in str(request.json) for request in madspark_simulator.requests)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_router_says_why_it_cannot_be_copied(copied: Callable[[LLMRouter], object]) -> None:
    router = LLMRouter("mock", config=LLMConfig())
    with pytest.raises(TypeError, match="pickle its `config`"):
        copied(router)
    assert LLMRouter("mock", config=pickle.loads(pickle.dumps(router.config))).config == router.config  # noqa: S301


def test_types_of_options_cost_no_import_of_pydantic() -> None:
    script = "import sys, typing, madspark; typing.get_type_hints(madspark.LLMRouter.generate_structured)\n"
    script += "print('pydantic' in sys.modules, 'inspect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)  # noqa: S603  # our own script
    assert done.stdout.strip() == "False False"
