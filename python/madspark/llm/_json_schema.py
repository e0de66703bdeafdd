"""Validates replies against JSON Schemas that callers pass as dictionaries."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterator
from math import isfinite
from typing import Any

from pydantic_core import from_json

from madspark.llm._json_schema_document import SchemaDocument, is_number

MAX_ERRORS = 50
"""The number of mismatches of one value that are collected."""

_STEPS = 1_000_000
_STEPS_PER_CHARACTER = 8
"""The steps that the validation of a reply may take, about a microsecond each: one value against one schema."""

_PATTERN_STEPS = 32
"""The steps of matching a pattern that take as long."""

_LARGE = 2**60
"""Below it an integer is its own hash."""


class SchemaMismatchError(ValueError):
    """A reply does not match a JSON Schema. `errors` has one line per mismatch, with its path."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class JsonSchemaValidator:
    """Validates plain data against one JSON Schema, which must not be modified afterwards.

    A value is validated once against each schema, however many unions lead to it. A reply that still takes more steps
    than its length allows is a mismatch.

    Raises:
        ValueError: If the document is not a JSON Schema, or uses a keyword that is not supported.
    """

    __slots__ = ("_document",)

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = SchemaDocument(document)

    def validate_json(self, text: str) -> Any:
        """Parse JSON text and return it as plain data.

        Raises:
            SchemaMismatchError: If the text is not JSON, nests too deeply, takes too many steps, or does not match the
                schema.
        """
        try:
            value = from_json(text, allow_inf_nan=False)
        except ValueError as error:
            raise SchemaMismatchError([_error("", str(error))]) from error
        if errors := self.errors(value, _STEPS + _STEPS_PER_CHARACTER * len(text)):
            raise SchemaMismatchError(errors)
        return value

    def errors(self, value: object, steps: int = _STEPS) -> list[str]:
        """Return one line per mismatch of `value`, `MAX_ERRORS` at most; none if it is valid.

        `steps` limits the work. If they do not suffice, that is the only error.
        """
        validation = _Validation(self._document, steps)
        try:
            return _Instance(validation, value, "").errors(self._document.root)
        except RecursionError:
            return [_error("", "nested too deeply")]
        except _OutOfStepsError:
            return [_error("", "cannot be validated, because it takes too long")]


class _OutOfStepsError(Exception):
    """A validation has taken all of its steps."""


class _Validation:
    """The validation of one reply."""

    __slots__ = ("_choices", "_left", "document")

    def __init__(self, document: SchemaDocument, steps: int) -> None:
        self.document = document
        self._left = steps
        self._choices: dict[int, frozenset[Hashable]] = {}

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise _OutOfStepsError

    def matches(self, pattern: str, text: str) -> bool:
        found, steps = self.document.find(pattern, text, _PATTERN_STEPS * self._left)
        self.spend(1 + steps // _PATTERN_STEPS)
        if found is None:
            raise _OutOfStepsError
        return found

    def equality_key(self, value: Any) -> Hashable:
        """Return a key that is equal for values that JSON Schema considers equal: 1 and 1.0 are, 1 and true are not."""
        self.spend(1)
        if is_number(value):
            # Python hashes a large integer by a remainder, so that a reply can choose many with one hash.
            is_large = _is_finite(value) and abs(value) >= _LARGE and value == value // 1
            return hex(int(value)) if is_large else value
        if isinstance(value, list):
            return list, tuple(map(self.equality_key, value))
        if isinstance(value, dict):
            return dict, frozenset((name, self.equality_key(member)) for name, member in value.items())
        return type(value), value

    def choices(self, values: list[Any]) -> frozenset[Hashable]:
        """Return the keys of `values`, a part of the document."""
        keys = self._choices.get(id(values))
        if keys is None:
            keys = self._choices[id(values)] = frozenset(map(self.equality_key, values))
        return keys


class _Instance:
    """A value at a path, as a schema sees it. The methods of keywords yield what is wrong with the value."""

    __slots__ = ("_children", "_found", "path", "validation", "value")

    def __init__(self, validation: _Validation, value: Any, path: str) -> None:
        self.validation = validation
        self.value = value
        self.path = path
        self._found: dict[int, list[str]] | None = None
        self._children: dict[object, _Instance] | None = None

    def errors(self, schema: Any) -> list[str]:
        """Return what is wrong with the value, `MAX_ERRORS` at most.

        The result for a list, an object or a schema that leads to others for the same value is found once.
        """
        if isinstance(schema, bool):
            return [] if schema else [_error(self.path, "must not be there")]
        if type(self.value) not in _CONTAINERS and id(schema) not in self.validation.document.branching:
            return self._check(schema)
        if self._found is None:
            self._found = {}
        errors = self._found.get(id(schema))
        if errors is None:
            errors = self._found[id(schema)] = self._check(schema)
        return errors

    def _check(self, schema: dict[str, Any]) -> list[str]:
        self.validation.spend(1)
        errors: list[str] = []
        if self.value is None and schema.get("nullable") is True:
            return errors
        kind = type(self.value)
        for keyword, argument in schema.items():
            # Most values have the exact type, which needs no generator.
            if keyword == "type" and kind in _EXACT_TYPES.get(argument if type(argument) is str else "", ()):
                continue
            types, check = _CHECKS.get(keyword, _ANNOTATION)
            # By the exact type, because a Python boolean is an integer as well.
            if types is None or kind in types:
                errors.extend(check(self, argument, schema))
        return errors[:MAX_ERRORS] if errors else errors

    def is_valid(self, schema: Any) -> bool:
        return not self.errors(schema)

    def child(self, step: object, value: Any) -> _Instance:
        if type(value) not in _CONTAINERS:
            return _Instance(self.validation, value, self._path(step))
        if self._children is None:
            self._children = {}
        child = self._children.get(step)
        if child is None:
            child = self._children[step] = _Instance(self.validation, value, self._path(step))
        return child

    def _path(self, step: object) -> str:
        return f"{self.path}.{step}" if self.path else str(step)

    # Keywords of values of every type.

    def type(self, names: Any, _: object) -> Iterator[str]:
        names = names if isinstance(names, list) else [names]
        if not any(_is_of_type(name, self.value) for name in names):
            yield _error(self.path, f"must be of type {' or '.join(names)}")

    def const(self, constant: Any, _: object) -> Iterator[str]:
        if self.validation.equality_key(constant) != self.validation.equality_key(self.value):
            yield _error(self.path, f"must be {constant!r}")

    def enum(self, choices: Any, _: object) -> Iterator[str]:
        if self.validation.equality_key(self.value) not in self.validation.choices(choices):
            yield _error(self.path, f"must be one of {', '.join(map(repr, choices))}")

    def ref(self, reference: Any, _: object) -> Iterator[str]:
        yield from self.errors(self.validation.document.targets[reference])

    def all_of(self, parts: Any, _: object) -> Iterator[str]:
        for part in parts:
            yield from self.errors(part)

    def any_of(self, branches: Any, _: object) -> Iterator[str]:
        # The branch with the fewest errors is most likely the intended one.
        yield from min(map(self.errors, branches), key=len)

    def one_of(self, branches: Any, _: object) -> Iterator[str]:
        errors = [self.errors(branch) for branch in branches]
        matching = errors.count([])
        if matching > 1:
            yield _error(self.path, f"must fit one of {len(branches)} schemas, and fits {matching}")
        else:
            yield from min(errors, key=len)

    def not_(self, part: Any, _: object) -> Iterator[str]:
        if self.is_valid(part):
            yield _error(self.path, "is what it must not be")

    def if_(self, part: Any, schema: dict[str, Any]) -> Iterator[str]:
        yield from self.errors(schema.get("then" if self.is_valid(part) else "else", True))

    # Keywords of strings and arrays.

    def pattern(self, pattern: Any, _: object) -> Iterator[str]:
        if not self.validation.matches(pattern, self.value):
            yield _error(self.path, f"must match {pattern}")

    def prefix_items(self, parts: Any, _: object) -> Iterator[str]:
        for index, (part, item) in enumerate(zip(parts, self.value, strict=False)):
            yield from self.child(index, item).errors(part)

    def items(self, part: Any, schema: dict[str, Any]) -> Iterator[str]:
        prefix = schema.get("prefixItems", [])
        if isinstance(part, list):
            # The form of tuples before draft 2020-12.
            yield from self.prefix_items(part, schema)
            prefix, part = part, schema.get("additionalItems", True)
        for index in range(len(prefix), len(self.value)):
            yield from self.child(index, self.value[index]).errors(part)

    def contains(self, part: Any, schema: dict[str, Any]) -> Iterator[str]:
        found = sum(self.child(index, item).is_valid(part) for index, item in enumerate(self.value))
        if found < schema.get("minContains", 1) or found > schema.get("maxContains", found):
            yield _error(self.path, f"has {found} of the items it must contain")

    def unique_items(self, wanted: Any, _: object) -> Iterator[str]:
        if wanted and len(set(map(self.validation.equality_key, self.value))) < len(self.value):
            yield _error(self.path, "has an item twice")

    # Keywords of objects.

    def properties(self, parts: Any, _: object) -> Iterator[str]:
        for name, part in parts.items():
            if name in self.value:
                yield from self.child(name, self.value[name]).errors(part)

    def pattern_properties(self, parts: Any, _: object) -> Iterator[str]:
        for pattern, part in parts.items():
            for name, member in self.value.items():
                if self.validation.matches(pattern, name):
                    yield from self.child(name, member).errors(part)

    def additional_properties(self, part: Any, schema: dict[str, Any]) -> Iterator[str]:
        named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for name, member in self.value.items():
            if name not in named and not any(self.validation.matches(pattern, name) for pattern in patterns):
                yield from self.child(name, member).errors(part)

    def property_names(self, part: Any, _: object) -> Iterator[str]:
        for name in self.value:
            # Not the member of this name.
            instance = _Instance(self.validation, name, self._path(name))
            yield from (f"{error} (the name)" for error in instance.errors(part))

    def required(self, names: Any, _: object) -> Iterator[str]:
        yield from (_error(self._path(name), "is missing") for name in names if name not in self.value)

    def dependent_required(self, names: Any, _: object) -> Iterator[str]:
        for name, others in names.items():
            if name in self.value:
                yield from self.required(others, _)

    def dependent_schemas(self, parts: Any, _: object) -> Iterator[str]:
        for name, part in parts.items():
            if name in self.value:
                yield from self.errors(part)


def _is_of_type(name: str, value: Any) -> bool:
    match name:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "number":
            return is_number(value)
        case "integer":
            return is_number(value) and bool(value == value // 1)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _is_finite(value: float) -> bool:
    # An integer may be too large for a float.
    return isinstance(value, int) or isfinite(value)


def _is_multiple(value: float, step: float) -> bool:
    from fractions import Fraction  # imports `decimal`, which few schemas need

    # In decimal, as JSON writes numbers: 0.3 is a multiple of 0.1.
    return _is_finite(value) and Fraction(str(value)) % Fraction(str(step)) == 0


def _error(path: str, reason: str) -> str:
    return f"{path or 'the answer'}: {reason}"


_Check = Callable[[_Instance, Any, dict[str, Any]], Iterator[str]]


def _bound(is_within: Callable[[Any, Any], bool], message: str) -> _Check:
    def check(instance: _Instance, limit: Any, _: object) -> Iterator[str]:
        if not is_within(instance.value, limit):
            yield _error(instance.path, message.format(limit))

    return check


def _length(is_within: Callable[[Any, Any], bool], message: str) -> _Check:
    return _bound(lambda value, limit: is_within(len(value), limit), message)


def _annotation(*_: object) -> Iterator[str]:
    return iter(())


_CONTAINERS = (list, dict)
_EXACT_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}
"""By the name of a type: the types of Python all of whose values are of it."""

_NUMBER, _STRING, _ARRAY, _OBJECT = (int, float), (str,), (list,), (dict,)
_ANNOTATION: tuple[tuple[type, ...] | None, _Check] = ((), _annotation)

_CHECKS: dict[str, tuple[tuple[type, ...] | None, _Check]] = {
    "$ref": (None, _Instance.ref),
    "additionalProperties": (_OBJECT, _Instance.additional_properties),
    "allOf": (None, _Instance.all_of),
    "anyOf": (None, _Instance.any_of),
    "const": (None, _Instance.const),
    "contains": (_ARRAY, _Instance.contains),
    "dependentRequired": (_OBJECT, _Instance.dependent_required),
    "dependentSchemas": (_OBJECT, _Instance.dependent_schemas),
    "enum": (None, _Instance.enum),
    "exclusiveMaximum": (_NUMBER, _bound(operator.lt, "must be less than {}")),
    "exclusiveMinimum": (_NUMBER, _bound(operator.gt, "must be more than {}")),
    "if": (None, _Instance.if_),
    "items": (_ARRAY, _Instance.items),
    "maxItems": (_ARRAY, _length(operator.le, "must have at most {} items")),
    "maxLength": (_STRING, _length(operator.le, "must have at most {} characters")),
    "maxProperties": (_OBJECT, _length(operator.le, "must have at most {} members")),
    "maximum": (_NUMBER, _bound(operator.le, "must be at most {}")),
    "minItems": (_ARRAY, _length(operator.ge, "must have at least {} items")),
    "minLength": (_STRING, _length(operator.ge, "must have at least {} characters")),
    "minProperties": (_OBJECT, _length(operator.ge, "must have at least {} members")),
    "minimum": (_NUMBER, _bound(operator.ge, "must be at least {}")),
    "multipleOf": (_NUMBER, _bound(_is_multiple, "must be a multiple of {}")),
    "not": (None, _Instance.not_),
    "oneOf": (None, _Instance.one_of),
    "pattern": (_STRING, _Instance.pattern),
    "patternProperties": (_OBJECT, _Instance.pattern_properties),
    "prefixItems": (_ARRAY, _Instance.prefix_items),
    "properties": (_OBJECT, _Instance.properties),
    "propertyNames": (_OBJECT, _Instance.property_names),
    "required": (_OBJECT, _Instance.required),
    "type": (None, _Instance.type),
    "uniqueItems": (_ARRAY, _Instance.unique_items),
}
"""By keyword: the types of the values that it applies to (`None` for all), and its check."""
