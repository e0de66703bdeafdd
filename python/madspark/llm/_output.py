"""Output adapters: validate replies with pydantic, or with a JSON Schema that the caller passes as a dictionary."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from madspark import _core
from madspark.llm._json_schema import JsonSchemaValidator, SchemaMismatchError
from madspark.llm.exceptions import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import UnionType

    from pydantic_core import ErrorDetails
    from typing_extensions import TypeForm

_T = TypeVar("_T")

MAX_REPORTED_ERRORS = 20
"""The number of a reply's validation errors that a repair request lists."""

MAX_CACHED_SCHEMAS = 128
"""The number of dictionary schemas whose adapters are cached. Types are cached for as long as they live."""


class OutputAdapter(Generic[_T]):
    """Validates JSON replies as values of one type."""

    __slots__ = ("__weakref__", "_source", "schema", "validate_json")

    VALIDATION_ERRORS: ClassVar = (ValidationError, SchemaMismatchError)
    """What `validate_json` raises if a reply is invalid."""

    def __init__(self, source: object, validate_json: Callable[[str], _T], schema: _core.Schema) -> None:
        self._source = source
        self.validate_json = validate_json
        """Parses and validates JSON text. Raises pydantic's `ValidationError`, or `SchemaMismatchError`."""
        self.schema = schema

    @staticmethod
    def describe(error: ValidationError | SchemaMismatchError) -> list[str]:
        """Return one line per validation error, with its path, for a repair request."""
        if isinstance(error, SchemaMismatchError):
            return error.errors[:MAX_REPORTED_ERRORS]
        found = error.errors(include_url=False, include_context=False)[:MAX_REPORTED_ERRORS]
        # A tuple that is too short has one error for each position, with the same message.
        return list(dict.fromkeys(_description(item, found) for item in found))


def _description(error: ErrorDetails, errors: list[ErrorDetails]) -> str:
    """Return the path of `error` and what is wrong there, without the value."""
    path, value = error["loc"], error["input"]
    if error["type"] == "missing" and path and isinstance(path[-1], int) and isinstance(value, list):
        missing = sum(other["type"] == "missing" and other["loc"][:-1] == path[:-1] for other in errors)
        return f"{_path(path[:-1])}: Input should be a list of {len(value) + missing} items, not of {len(value)}"
    found = f", not {_KINDS.get(type(value), 'another type')}" if error["type"].endswith("_type") else ""
    return f"{_path(path)}: {error['msg']}{found}"


_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _path(path: tuple[int | str, ...]) -> str:
    return ".".join(map(str, path)) or "the answer"


@overload
def output_adapter(schema: TypeForm[_T]) -> OutputAdapter[_T]: ...
@overload
def output_adapter(schema: TypeAdapter[_T]) -> OutputAdapter[_T]: ...
@overload
def output_adapter(schema: dict[str, Any] | UnionType) -> OutputAdapter[Any]: ...
def output_adapter(schema: Any) -> OutputAdapter[Any]:
    """Return the adapter of `schema`: a pydantic model, another type pydantic supports, a `TypeAdapter`, or a dict.

    Raises:
        TypeError: If `schema` is none of these.
        ValueError: If a JSON Schema is invalid or uses a keyword that is not supported.
    """
    known = _models.get(id(schema))
    model = None if known is None else known[0]()
    if known is not None and model is not None and model is schema:
        return OutputAdapter(model, model.model_validate_json, known[1])
    if isinstance(schema, dict):
        return _adapter_of_dict(schema)
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        if schema in (BaseModel, RootModel):
            raise _unsupported(schema, "it has no fields")
        core_schema = _cached_schema(schema, lambda: schema.model_json_schema(mode="validation"))
        _models[id(schema)] = (ref(schema, functools.partial(_forget, id(schema))), core_schema)
        return OutputAdapter(schema, schema.model_validate_json, core_schema)
    adapter = _live.get(id(schema))
    if adapter is None:
        adapter = _live[id(schema)] = _adapter_of_type(schema)
    return adapter


# Schemas by class. No value refers to its key, so a class that was made for one request is freed with it. Two threads
# may build the same schema at once; both results are equal, and the last one stays.
_schemas: WeakKeyDictionary[object, _core.Schema] = WeakKeyDictionary()

# Schemas of pydantic models by identity. Both `issubclass` on pydantic's metaclass and a comparison of weak keys take
# microseconds; an `id()` does not.
_models: dict[int, tuple[ref[Any], _core.Schema]] = {}


def _forget(identity: int, dead: ref[Any]) -> None:
    known = _models.get(identity)
    # Another class may have the same identity by now.
    if known is not None and known[0] is dead:
        del _models[identity]


# Adapters of other types, shared by concurrent calls such as those of one batch. An adapter keeps its type alive, so no
# other object can have that identity in the meantime.
_live: WeakValueDictionary[int, OutputAdapter[Any]] = WeakValueDictionary()


def _adapter_of_type(schema: Any) -> OutputAdapter[Any]:
    if schema is None or isinstance(schema, str):
        raise _unsupported(schema, "it names no type")
    try:
        adapter: TypeAdapter[Any] = schema if isinstance(schema, TypeAdapter) else TypeAdapter(schema)
        json_schema = functools.partial(adapter.json_schema, mode="validation")
        # A generic alias such as `list[Idea]` is usually a new object in each call, so only types are cached.
        if isinstance(schema, type | TypeAdapter):
            core_schema = _cached_schema(schema, json_schema)
        else:
            core_schema = _core_schema(schema, json_schema())
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise _unsupported(schema, str(error)) from error
    return OutputAdapter(schema, adapter.validate_json, core_schema)


def _cached_schema(schema: type | TypeAdapter[Any], json_schema: Callable[[], dict[str, Any]]) -> _core.Schema:
    core_schema = _schemas.get(schema)
    if core_schema is None:
        core_schema = _schemas[schema] = _core_schema(schema, json_schema())
    return core_schema


def _core_schema(schema: object, document: dict[str, Any]) -> _core.Schema:
    name = getattr(schema, "__name__", None) or document.get("title")
    return _core.Schema(name if isinstance(name, str) else "Answer", json.dumps(document))


def _adapter_of_dict(document: dict[str, Any]) -> OutputAdapter[Any]:
    try:
        text = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the JSON Schema is not JSON: {error}") from error
    return _adapter_of_json_schema(text)


@functools.lru_cache(maxsize=MAX_CACHED_SCHEMAS)
def _adapter_of_json_schema(text: str) -> OutputAdapter[Any]:
    document = json.loads(text)
    validator = JsonSchemaValidator(document)
    return OutputAdapter(document, validator.validate_json, _core_schema(None, document))


def _unsupported(schema: object, reason: str) -> TypeError:
    return TypeError(
        "schema must be a pydantic model class, another type that pydantic can validate (a dataclass, a TypedDict, "
        f"list[...], a union), a TypeAdapter or a JSON Schema as a dict, not {schema!r}: {reason}"
    )
