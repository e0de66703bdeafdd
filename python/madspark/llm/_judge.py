"""Pydantic as the judge of replies; a class's JSON Schema is made once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary

from pydantic import BaseModel, RootModel, ValidationError

from madspark import _core
from madspark.llm.exceptions import SchemaValidationError

if TYPE_CHECKING:
    from collections.abc import Generator

    from madspark._core import Call
    from madspark.llm.response import LLMResponse

_Model = TypeVar("_Model", bound=BaseModel)

MAX_FAULTS = 20
"""How many of a reply's faults the model is told: enough to mend them, few enough to read."""


class Judge(Generic[_Model]):
    """Validates replies against one model class."""

    __slots__ = ("_model", "schema")

    def __init__(self, model: type[_Model], schema: _core.Schema) -> None:
        self._model = model
        self.schema = schema

    def steps(self, call: Call) -> Generator[tuple[Call, list[str] | None], str, tuple[_Model, LLMResponse]]:
        """Pull replies from `call` until one fits; for `drive` and `adrive`."""
        text = yield call, None
        while True:
            try:
                value = self._model.model_validate_json(text)
            except ValidationError as error:
                faults = _faults(error)
                try:
                    text = yield call, faults
                except SchemaValidationError as failure:
                    # Under the error of the target whose reply this was; an answer without JSON may have come later.
                    if failure.raw == text:
                        (failure.__cause__ or failure).__cause__ = error
                    raise
            else:
                return value, call.finish()


def judge_of(model: type[_Model]) -> Judge[_Model]:
    """The judge of `model`.

    Raises:
        TypeError: `model` is not a pydantic model class.
    """
    known: object = model
    if not (isinstance(known, type) and issubclass(known, BaseModel)) or known in (BaseModel, RootModel):
        message = f"schema must be a pydantic BaseModel or RootModel class, not {model!r}"
        raise TypeError(message)
    schema = _schemas.get(model)
    if schema is None:
        document = json.dumps(model.model_json_schema(mode="validation"))
        schema = _schemas[model] = _core.Schema(model.__name__, document)
    return Judge(model, schema)


# Two threads may make the same schema at once; the last one stays, and both are right. No value refers to its key: a
# class made for one request goes with it.
_schemas: WeakKeyDictionary[type[BaseModel], _core.Schema] = WeakKeyDictionary()


def _faults(error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [f"{'.'.join(map(str, fault['loc'])) or 'the answer'}: {fault['msg']}" for fault in found[:MAX_FAULTS]]
