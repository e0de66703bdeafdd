"""Models whose JSON Schema describes each field by the docstring below it."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

__all__ = ["DescribedModel"]


class DescribedModel(BaseModel):
    """A model whose JSON Schema describes each field by the docstring below it.

    Pydantic's `use_attribute_docstrings` would parse the source of each class at import, which takes longer than the
    rest of the import. This parses it once, when a schema is requested.
    """

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        document = handler(schema)
        fields = handler.resolve_ref_schema(document).get("properties", {})
        for base in cls.__mro__:
            for name, text in _descriptions(base.__module__).get(base.__qualname__, {}).items():
                if name in fields:
                    fields[name].setdefault("description", text)
        return document


@functools.cache
def _descriptions(module: str) -> dict[str, dict[str, str]]:
    """Return the docstrings of the fields of each class of `module`; none if its source is not installed."""
    import ast
    import inspect

    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError):
        return {}
    return {
        node.name: {
            field.target.id: inspect.cleandoc(below.value.value)
            for field, below in zip(node.body, node.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
