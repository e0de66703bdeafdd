"""Two hundred models with their schemas and valid values. Run this module to write the fixture of the core's tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic

from models_generated import generated
from models_handwritten import HANDWRITTEN

if TYPE_CHECKING:
    from pydantic import BaseModel

FIXTURE = Path(__file__).parent.parent / "core" / "fixtures" / "models.jsonl"


def models() -> list[tuple[type[BaseModel], list[Any]]]:
    """Return every model with valid JSON values: the listed ones, and their dumps by pydantic."""
    return [(model, _with_dumps(model, values)) for model, values in [*HANDWRITTEN, *generated()]]


def lines() -> list[str]:
    """Return the lines of the fixture: the version of pydantic that generated the schemas, then one model per line."""
    written: list[dict[str, Any]] = [{"pydantic": pydantic.VERSION}]
    for model, values in models():
        schema = model.model_json_schema(mode="validation")
        written.append({"name": model.__name__, "schema": schema, "valid": values})
    return [json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in written]


def _with_dumps(model: type[BaseModel], values: list[Any]) -> list[Any]:
    dumps = [json.loads(model.model_validate(value).model_dump_json(by_alias=True)) for value in values]
    return [*values, *(dump for dump in dumps if dump not in values)]


if __name__ == "__main__":
    FIXTURE.write_text("\n".join(lines()) + "\n", encoding="utf-8")
