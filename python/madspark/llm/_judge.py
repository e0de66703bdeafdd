"""The judges of replies: pydantic for types, `Document` for schemas that are plain dictionaries."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from madspark import _core
from madspark.llm.exceptions import SchemaValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import UnionType

    from madspark._core import Call
    from madspark.llm.response import LLMResponse

_T = TypeVar("_T")

MAX_FAULTS = 20
"""How many of a reply's faults the model is told: enough to mend them, few enough to read."""

MAX_DOCUMENTS = 128
"""How many schemas that came as dictionaries are kept ready; types are kept as long as they live."""


class Judge(Generic[_T]):
    """Reads replies as values of one type."""

    __slots__ = ("__weakref__", "_source", "read", "schema")

    def __init__(self, source: object, read: Callable[[str], _T], schema: _core.Schema) -> None:
        self._source = source
        self.read = read
        """Makes the value of a reply's JSON text; raises pydantic's `ValidationError`, or `MisfitError`."""
        self.schema = schema

    def steps(self, call: Call) -> Generator[tuple[Call, list[str] | None], str, tuple[_T, LLMResponse]]:
        """Pull replies from `call` until one fits; for `drive` and `adrive`."""
        text = yield call, None
        while True:
            try:
                value = self.read(text)
            except (ValidationError, MisfitError) as error:
                faults = faults_of(error)
                try:
                    text = yield call, faults
                except SchemaValidationError as failure:
                    # Under the error of the target whose reply this was; an answer without JSON may have come later.
                    if failure.raw == text:
                        (failure.__cause__ or failure).__cause__ = error
                    raise
            else:
                return value, call.finish()


class MisfitError(ValueError):
    """A reply does not fit a schema that is a dictionary."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@overload
def judge_of(schema: type[_T] | TypeAdapter[_T]) -> Judge[_T]: ...
@overload
def judge_of(schema: dict[str, Any] | UnionType) -> Judge[Any]: ...
def judge_of(schema: Any) -> Judge[Any]:
    """The judge of `schema`: a pydantic model, another type that pydantic knows, a `TypeAdapter`, or a JSON Schema.

    Raises:
        TypeError: `schema` is none of these.
        ValueError: A JSON Schema that is wrong, or says what cannot be judged.
    """
    known = _models.get(id(schema))
    model = None if known is None else known[0]()
    if known is not None and model is not None and model is schema:
        return Judge(model, model.model_validate_json, known[1])
    if isinstance(schema, dict):
        return _judge_of_document(schema)
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        if schema in (BaseModel, RootModel):
            raise _refusal(schema, "it has no fields")
        made = _kept(schema, lambda: schema.model_json_schema(mode="validation"))
        _models[id(schema)] = (ref(schema, functools.partial(_forget, id(schema))), made)
        return Judge(schema, schema.model_validate_json, made)
    judge = _live.get(id(schema))
    if judge is None:
        judge = _live[id(schema)] = _judge_of_type(schema)
    return judge


def faults_of(error: ValidationError | MisfitError) -> list[str]:
    """What is wrong with a reply, a line each, for the model to mend."""
    if isinstance(error, MisfitError):
        return error.faults[:MAX_FAULTS]
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [f"{'.'.join(map(str, fault['loc'])) or 'the answer'}: {fault['msg']}" for fault in found[:MAX_FAULTS]]


# A class's schema is made once. Two threads may make the same one at once; the last one stays, and both are right. No
# value refers to its key: a class made for one request goes with it.
_schemas: WeakKeyDictionary[object, _core.Schema] = WeakKeyDictionary()

# The same for models, found by identity: the metaclass of pydantic answers whether a class is a model, and weak keys
# are compared, in some microseconds.
_models: dict[int, tuple[ref[Any], _core.Schema]] = {}


def _forget(identity: int, gone: ref[Any]) -> None:
    known = _models.get(identity)
    # Another class may have its identity by now.
    if known is not None and known[0] is gone:
        del _models[identity]


# An adapter refers to its type, so it is kept for as long as calls use it: those of one batch share it. A judge keeps
# its type alive, so that nothing else can have that identity meanwhile.
_live: WeakValueDictionary[int, Judge[Any]] = WeakValueDictionary()


def _judge_of_type(schema: Any) -> Judge[Any]:
    if schema is None or isinstance(schema, str):
        raise _refusal(schema, "it names no type")
    try:
        adapter: TypeAdapter[Any] = schema if isinstance(schema, TypeAdapter) else TypeAdapter(schema)
        document = functools.partial(adapter.json_schema, mode="validation")
        # An alias such as `list[Idea]` is mostly made anew for each call.
        made = _kept(schema, document) if isinstance(schema, type | TypeAdapter) else _made(schema, document())
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise _refusal(schema, str(error)) from error
    return Judge(schema, adapter.validate_json, made)


def _kept(schema: type | TypeAdapter[Any], document: Callable[[], dict[str, Any]]) -> _core.Schema:
    made = _schemas.get(schema)
    if made is None:
        made = _schemas[schema] = _made(schema, document())
    return made


def _made(schema: object, document: dict[str, Any]) -> _core.Schema:
    name = getattr(schema, "__name__", None) or document.get("title")
    return _core.Schema(name if isinstance(name, str) else "Answer", json.dumps(document))


def _judge_of_document(document: dict[str, Any]) -> Judge[Any]:
    try:
        text = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the JSON Schema is not JSON: {error}") from error
    return _judge_of_text(text)


@functools.lru_cache(maxsize=MAX_DOCUMENTS)
def _judge_of_text(text: str) -> Judge[Any]:
    from madspark.llm._document import Document

    document = json.loads(text)
    judge = Document(document)

    def read(reply: str) -> Any:
        value = json.loads(reply)
        faults = judge.faults(value)
        if faults:
            raise MisfitError(faults)
        return value

    return Judge(document, read, _made(None, document))


def _refusal(schema: object, reason: str) -> TypeError:
    return TypeError(
        "schema must be a pydantic model class, another type that pydantic can validate (a dataclass, a TypedDict, "
        f"list[...], a union), a TypeAdapter or a JSON Schema as a dict, not {schema!r}: {reason}"
    )
