"""A judge of plain data by a JSON Schema document."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterator
from fractions import Fraction
from math import isfinite
from typing import Any

from madspark.llm._keywords import Survey, is_number


class Document:
    """One document, ready to judge; it must not be changed afterwards.

    Raises:
        ValueError: It is no JSON Schema, or has a keyword that cannot be judged.
    """

    __slots__ = ("_document", "_survey")

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._survey = Survey(document)

    def faults(self, value: object) -> list[str]:
        """One line for each thing that is wrong with `value`; none where it fits."""
        try:
            return list(self.at(self._document, value, ""))
        except RecursionError:
            return [_fault("", "nested too deeply")]

    def at(self, schema: Any, value: Any, path: str) -> Iterator[str]:
        """Give what is wrong with `value`, which stands at `path`, by a part of the document."""
        if isinstance(schema, bool):
            if not schema:
                yield _fault(path, "must not be there")
            return
        if value is None and schema.get("nullable") is True:
            return
        for keyword, argument in schema.items():
            kind, check = _CHECKS.get(keyword, _UNJUDGED)
            # By the exact type: to Python alone a boolean is a number.
            if kind is None or type(value) in kind:
                yield from check(self, argument, schema, value, path)

    def fits(self, schema: Any, value: Any) -> bool:
        """Whether `value` fits a part of the document."""
        return next(self.at(schema, value, ""), None) is None

    def matches(self, pattern: str, text: str) -> bool:
        """Whether `text` matches one of the document's patterns."""
        return self._survey.patterns[pattern].search(text) is not None

    def target(self, reference: str) -> Any:
        """Follow one of the document's references."""
        return self._survey.targets[reference]


_Check = Callable[[Document, Any, dict[str, Any], Any, str], Iterator[str]]


# What the checks share.


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


def _key(value: Any) -> Hashable:
    """What two values have in common that are one to JSON: 1 and 1.0 are, 1 and true are not."""
    if is_number(value):
        return value  # type: ignore[no-any-return]  # a number
    if isinstance(value, list):
        return list, tuple(map(_key, value))
    if isinstance(value, dict):
        return dict, frozenset((name, _key(member)) for name, member in value.items())
    return type(value), value


def _is_multiple(value: float, step: float) -> bool:
    # In the decimals that JSON writes: 0.3 is a multiple of 0.1.
    return isfinite(value) and Fraction(str(value)) % Fraction(str(step)) == 0


def _inside(path: str, step: object) -> str:
    return f"{path}.{step}" if path else str(step)


def _fault(path: str, fault: str) -> str:
    return f"{path or 'the answer'}: {fault}"


# Of values of every type.


def _type(_: Document, names: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    names = names if isinstance(names, list) else [names]
    if not any(_is_of_type(name, value) for name in names):
        yield _fault(path, f"must be of type {' or '.join(names)}")


def _const(_: Document, constant: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    if _key(constant) != _key(value):
        yield _fault(path, f"must be {constant!r}")


def _enum(_: Document, choices: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    if _key(value) not in map(_key, choices):
        yield _fault(path, f"must be one of {', '.join(map(repr, choices))}")


def _ref(judge: Document, reference: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    yield from judge.at(judge.target(reference), value, path)


def _all_of(judge: Document, parts: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for part in parts:
        yield from judge.at(part, value, path)


def _any_of(judge: Document, branches: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    # The branch that has the least against it is the one that was meant.
    yield from min((list(judge.at(branch, value, path)) for branch in branches), key=len)


def _one_of(judge: Document, branches: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    # Each branch is asked once: twice at every level of a deep value would never end.
    told = [list(judge.at(branch, value, path)) for branch in branches]
    fitting = told.count([])
    if fitting > 1:
        yield _fault(path, f"must fit one of {len(branches)} schemas, and fits {fitting}")
    else:
        yield from min(told, key=len)


def _not(judge: Document, part: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    if judge.fits(part, value):
        yield _fault(path, "is what it must not be")


def _if(judge: Document, part: Any, schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    yield from judge.at(schema.get("then" if judge.fits(part, value) else "else", True), value, path)


# Of arrays.


def _prefix_items(judge: Document, parts: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for at, (part, item) in enumerate(zip(parts, value, strict=False)):
        yield from judge.at(part, item, _inside(path, at))


def _items(judge: Document, part: Any, schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    first = schema.get("prefixItems", [])
    if isinstance(part, list):
        # A tuple, as it was written before 2020-12.
        yield from _prefix_items(judge, part, schema, value, path)
        first, part = part, schema.get("additionalItems", True)
    for at, item in enumerate(value[len(first) :], len(first)):
        yield from judge.at(part, item, _inside(path, at))


def _contains(judge: Document, part: Any, schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    found = sum(judge.fits(part, item) for item in value)
    if found < schema.get("minContains", 1) or found > schema.get("maxContains", found):
        yield _fault(path, f"has {found} of the items it must contain")


def _unique_items(_: Document, wanted: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    if wanted and len(set(map(_key, value))) < len(value):
        yield _fault(path, "has an item twice")


# Of objects.


def _properties(judge: Document, parts: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for name, part in parts.items():
        if name in value:
            yield from judge.at(part, value[name], _inside(path, name))


def _pattern_properties(judge: Document, parts: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for pattern, part in parts.items():
        for name, member in value.items():
            if judge.matches(pattern, name):
                yield from judge.at(part, member, _inside(path, name))


def _additional(judge: Document, part: Any, schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, member in value.items():
        if name not in named and not any(judge.matches(pattern, name) for pattern in patterns):
            yield from judge.at(part, member, _inside(path, name))


def _property_names(judge: Document, part: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for name in value:
        yield from (f"{fault} (the name)" for fault in judge.at(part, name, _inside(path, name)))


def _required(_: Document, names: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    yield from (_fault(_inside(path, name), "is missing") for name in names if name not in value)


def _dependent_required(judge: Document, names: Any, schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for name, others in names.items():
        if name in value:
            yield from _required(judge, others, schema, value, path)


def _dependent_schemas(judge: Document, parts: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for name, part in parts.items():
        if name in value:
            yield from judge.at(part, value, path)


# Of one measure.


def _limit(keeps: Callable[[Any, Any], bool], words: str) -> _Check:
    def check(_: Document, limit: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
        if not keeps(value, limit):
            yield _fault(path, words.format(limit))

    return check


def _length(keeps: Callable[[Any, Any], bool], words: str) -> _Check:
    return _limit(lambda value, limit: keeps(len(value), limit), words)


def _pattern(judge: Document, pattern: Any, _schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    if not judge.matches(pattern, value):
        yield _fault(path, f"must match {pattern}")


def _nothing(*_: object) -> Iterator[str]:
    return iter(())


_NUMBER, _TEXT, _ARRAY, _OBJECT = (int, float), (str,), (list,), (dict,)
_UNJUDGED: tuple[tuple[type, ...] | None, _Check] = ((), _nothing)

_CHECKS: dict[str, tuple[tuple[type, ...] | None, _Check]] = {
    "$ref": (None, _ref),
    "additionalProperties": (_OBJECT, _additional),
    "allOf": (None, _all_of),
    "anyOf": (None, _any_of),
    "const": (None, _const),
    "contains": (_ARRAY, _contains),
    "dependentRequired": (_OBJECT, _dependent_required),
    "dependentSchemas": (_OBJECT, _dependent_schemas),
    "enum": (None, _enum),
    "exclusiveMaximum": (_NUMBER, _limit(operator.lt, "must be less than {}")),
    "exclusiveMinimum": (_NUMBER, _limit(operator.gt, "must be more than {}")),
    "if": (None, _if),
    "items": (_ARRAY, _items),
    "maxItems": (_ARRAY, _length(operator.le, "must have at most {} items")),
    "maxLength": (_TEXT, _length(operator.le, "must have at most {} characters")),
    "maxProperties": (_OBJECT, _length(operator.le, "must have at most {} members")),
    "maximum": (_NUMBER, _limit(operator.le, "must be at most {}")),
    "minItems": (_ARRAY, _length(operator.ge, "must have at least {} items")),
    "minLength": (_TEXT, _length(operator.ge, "must have at least {} characters")),
    "minProperties": (_OBJECT, _length(operator.ge, "must have at least {} members")),
    "minimum": (_NUMBER, _limit(operator.ge, "must be at least {}")),
    "multipleOf": (_NUMBER, _limit(_is_multiple, "must be a multiple of {}")),
    "not": (None, _not),
    "oneOf": (None, _one_of),
    "pattern": (_TEXT, _pattern),
    "patternProperties": (_OBJECT, _pattern_properties),
    "prefixItems": (_ARRAY, _prefix_items),
    "properties": (_OBJECT, _properties),
    "propertyNames": (_OBJECT, _property_names),
    "required": (_OBJECT, _required),
    "type": (None, _type),
    "uniqueItems": (_ARRAY, _unique_items),
}
"""By keyword: the types of the values it says something about (`None` for all), and its check."""
