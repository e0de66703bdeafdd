"""Checks JSON Schema documents and resolves their references before a request is sent.

A keyword that cannot be enforced is refused. Annotations (`title`, `format`, `default`) are accepted and not enforced,
as in JSON Schema itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from madspark import _core
from madspark.llm.exceptions import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})

_SCHEMA = frozenset(
    {"additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"}
)
"""Keywords whose argument is a schema."""

_SCHEMA_LISTS = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_SCHEMA_MAPS = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})

_BRANCHING = frozenset({"$ref", "allOf", "anyOf", "dependentSchemas", "if", "not", "oneOf"})
"""Keywords that apply schemas to the same value."""

_ANNOTATIONS = [
    "$comment",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "default",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "format",
    "readOnly",
    "title",
    "writeOnly",
]
_COUNTS = [
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
]


def is_number(value: object) -> bool:
    """Whether `value` is a JSON number; a boolean is not one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return is_number(value) and value >= 0 and value == value // 1


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_type(value: object) -> bool:
    names = value if isinstance(value, list) else [value]
    return _is_list_of_strings(names) and _TYPES.issuperset(names)


_IS_ARGUMENT: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys([*_ANNOTATIONS, *_SCHEMA, "const"], lambda _: True),
    **dict.fromkeys(_SCHEMA_LISTS - _SCHEMA, lambda value: isinstance(value, list) and bool(value)),
    **dict.fromkeys(_SCHEMA_MAPS, lambda value: isinstance(value, dict)),
    **dict.fromkeys(_COUNTS, _is_count),
    **dict.fromkeys(["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"], is_number),
    **dict.fromkeys(["nullable", "uniqueItems"], lambda value: isinstance(value, bool)),
    **dict.fromkeys(["$ref", "pattern"], lambda value: isinstance(value, str)),
    "dependentRequired": lambda value: isinstance(value, dict) and all(map(_is_list_of_strings, value.values())),
    "enum": lambda value: isinstance(value, list),
    "multipleOf": lambda value: is_number(value) and value > 0,
    "required": _is_list_of_strings,
    "type": _is_type,
}
"""The supported keywords, each with the check of its argument."""


class SchemaDocument:
    """A checked JSON Schema document. It must not be modified afterwards.

    Raises:
        ValueError: If the document is not a JSON Schema, or uses a keyword that is not supported.
    """

    __slots__ = ("_patterns", "branching", "root", "targets")

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self._patterns: dict[str, _core.Pattern] = {}
        self.targets: dict[str, Any] = {}
        """The schemas that the references point to."""
        self.branching: set[int] = set()
        """The identities of the schemas that apply other schemas to the same value."""
        checked: set[int] = set()
        pending: list[tuple[Any, str]] = [(root, "#")]
        while pending:
            schema, location = pending.pop()
            if isinstance(schema, bool) or id(schema) in checked:
                continue
            if not isinstance(schema, dict):
                raise _invalid(location, "a schema must be an object or a boolean")
            checked.add(id(schema))
            if not _BRANCHING.isdisjoint(schema):
                self.branching.add(id(schema))
            for keyword, argument in schema.items():
                self._check_keyword(keyword, argument, location)
                pending.extend(_subschemas(keyword, argument, f"{location}/{keyword}"))
            if "$ref" in schema:
                pending.append((self.targets[schema["$ref"]], schema["$ref"]))

    def find(self, pattern: str, text: str, most: int) -> tuple[bool | None, int]:
        """Return whether a part of `text` matches one of the document's patterns, and the steps taken.

        The first is None if it takes more than `most` steps.
        """
        return self._patterns[pattern].find(text, most)

    def _check_keyword(self, keyword: str, argument: Any, location: str) -> None:
        # References point into the document itself, so its own name has no effect.
        if keyword.startswith("x-") or (keyword == "$id" and location == "#"):
            return
        is_argument = _IS_ARGUMENT.get(keyword)
        if is_argument is None:
            raise _invalid(location, f"the keyword {keyword!r} is not supported")
        if not is_argument(argument):
            raise _invalid(f"{location}/{keyword}", f"{argument!r} is not a valid value of this keyword")
        match keyword:
            case "$ref":
                self.targets[argument] = self._target(argument, location)
            case "pattern":
                self._compile(argument, location)
            case "patternProperties":
                for pattern in argument:
                    self._compile(pattern, location)

    def _compile(self, pattern: str, location: str) -> None:
        try:
            self._patterns[pattern] = _core.Pattern(pattern)
        except ValueError as error:
            raise _invalid(location, f"the pattern {pattern!r} is not supported: {error}") from error

    def _target(self, reference: str, location: str) -> Any:
        pointer = unquote(reference)
        if pointer == "#":
            return self.root
        if not pointer.startswith("#/"):
            raise _invalid(location, f"$ref {reference!r} is not a JSON pointer into the document")
        target: Any = self.root
        for step in pointer[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                target = target[int(name)] if isinstance(target, list) else target[name]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise _invalid(location, f"$ref {reference!r} does not exist in the document") from error
        return target


def _subschemas(keyword: str, argument: Any, location: str) -> Iterator[tuple[Any, str]]:
    """Yield the schemas in the argument of `keyword`, each with its location."""
    if keyword in _SCHEMA_MAPS:
        yield from ((schema, f"{location}/{name}") for name, schema in argument.items())
    elif keyword in _SCHEMA_LISTS and isinstance(argument, list):
        yield from ((schema, f"{location}/{index}") for index, schema in enumerate(argument))
    elif keyword in _SCHEMA:
        yield argument, location


def _invalid(location: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"invalid JSON Schema at {location}: {reason}")
