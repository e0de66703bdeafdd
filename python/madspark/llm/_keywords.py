"""The keywords of JSON Schema that plain data is judged by, and a first look at a document that uses them.

A keyword that cannot be judged is refused before anything is sent. Those that only describe (`title`, `format`,
`default`) are told to the model and judge nothing, as JSON Schema itself has it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def is_number(value: object) -> bool:
    """Whether it is what JSON calls a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _anything(_: object) -> bool:
    return True


def _is_count(value: Any) -> bool:
    return is_number(value) and value >= 0 and value == value // 1


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _are_schemas(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _are_named(value: object) -> bool:
    return isinstance(value, dict)


def _is_positive(value: Any) -> bool:
    return is_number(value) and value > 0


def _are_types(value: object) -> bool:
    names = value if isinstance(value, list) else [value]
    return _are_texts(names) and TYPES.issuperset(names)


def _are_texts_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(map(_are_texts, value.values()))


_KEYWORDS: dict[str, Callable[[Any], bool]] = {
    "$comment": _anything,
    "$defs": _are_named,
    "$ref": _is_text,
    "$schema": _anything,
    "additionalItems": _anything,
    "additionalProperties": _anything,
    "allOf": _are_schemas,
    "anyOf": _are_schemas,
    "const": _anything,
    "contains": _anything,
    "contentEncoding": _anything,
    "contentMediaType": _anything,
    "default": _anything,
    "definitions": _are_named,
    "dependentRequired": _are_texts_by_name,
    "dependentSchemas": _are_named,
    "deprecated": _anything,
    "description": _anything,
    "discriminator": _anything,
    "else": _anything,
    "enum": _is_list,
    "example": _anything,
    "examples": _anything,
    "exclusiveMaximum": is_number,
    "exclusiveMinimum": is_number,
    "format": _anything,
    "if": _anything,
    "items": _anything,
    "maxContains": _is_count,
    "maxItems": _is_count,
    "maxLength": _is_count,
    "maxProperties": _is_count,
    "maximum": is_number,
    "minContains": _is_count,
    "minItems": _is_count,
    "minLength": _is_count,
    "minProperties": _is_count,
    "minimum": is_number,
    "multipleOf": _is_positive,
    "not": _anything,
    "nullable": _is_flag,
    "oneOf": _are_schemas,
    "pattern": _is_text,
    "patternProperties": _are_named,
    "prefixItems": _are_schemas,
    "properties": _are_named,
    "propertyNames": _anything,
    "readOnly": _anything,
    "required": _are_texts,
    "then": _anything,
    "title": _anything,
    "type": _are_types,
    "uniqueItems": _is_flag,
    "writeOnly": _anything,
}
"""Every keyword that is judged, or says nothing that could be, with what its argument must be."""

_SCHEMA = frozenset(
    {"additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"}
)
_SCHEMAS = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_NAMED_SCHEMAS = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})


class Survey:
    """Every schema of a document looked at once, those that only a reference leads to included.

    Raises:
        ValueError: The document is no JSON Schema, or has a keyword that cannot be judged.
    """

    __slots__ = ("_document", "patterns", "targets")

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self.patterns: dict[str, re.Pattern[str]] = {}
        """What the document's patterns match, by how it writes them."""
        self.targets: dict[str, Any] = {}
        """What its references lead to."""
        seen: set[int] = set()
        left: list[tuple[Any, str]] = [(document, "#")]
        while left:
            schema, place = left.pop()
            if isinstance(schema, bool) or id(schema) in seen:
                continue
            if not isinstance(schema, dict):
                raise _invalid(place, "a schema must be an object or a boolean")
            seen.add(id(schema))
            for keyword, argument in schema.items():
                self._note(keyword, argument, place)
                left.extend(_inside(keyword, argument, f"{place}/{keyword}"))
            if "$ref" in schema:
                left.append((self.targets[schema["$ref"]], schema["$ref"]))

    def _note(self, keyword: str, argument: Any, place: str) -> None:
        # Every reference leads into the document itself, whatever it is called.
        if keyword.startswith("x-") or (keyword == "$id" and place == "#"):
            return
        takes = _KEYWORDS.get(keyword)
        if takes is None:
            raise _invalid(place, f"the keyword {keyword!r} cannot be judged")
        if not takes(argument):
            raise _invalid(f"{place}/{keyword}", f"{argument!r} is no value of this keyword")
        match keyword:
            case "$ref":
                self.targets[argument] = self._target(argument, place)
            case "pattern":
                self._compile(argument, place)
            case "patternProperties":
                for pattern in argument:
                    self._compile(pattern, place)

    def _compile(self, pattern: str, place: str) -> None:
        try:
            self.patterns[pattern] = re.compile(_as_python(pattern), re.ASCII)
        except re.error as error:
            raise _invalid(place, f"the pattern {pattern!r} cannot be judged: {error}") from error

    def _target(self, reference: str, place: str) -> Any:
        pointer = unquote(reference)
        if pointer == "#":
            return self._document
        if not pointer.startswith("#/"):
            raise _invalid(place, f"$ref {reference!r} is no JSON pointer into the document")
        target: Any = self._document
        for step in pointer[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                target = target[int(name)] if isinstance(target, list) else target[name]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise _invalid(place, f"$ref {reference!r} leads nowhere") from error
        return target


def _inside(keyword: str, argument: Any, place: str) -> Iterator[tuple[Any, str]]:
    """Find the schemas in the argument of `keyword`."""
    if keyword in _NAMED_SCHEMAS:
        yield from ((schema, f"{place}/{name}") for name, schema in argument.items())
    elif keyword in _SCHEMAS and isinstance(argument, list):
        yield from ((schema, f"{place}/{index}") for index, schema in enumerate(argument))
    elif keyword in _SCHEMA:
        yield argument, place


def _as_python(pattern: str) -> str:
    """`pattern`, which is JavaScript's, as Python writes it: `$` is the very end, and a class holds no class."""
    written: list[str] = []
    in_class = False
    for piece in re.findall(r"\\.|.", pattern, re.DOTALL):
        match piece:
            case "[" | "&" | "~" | "|" if in_class:
                written.append("\\" + piece)
            case "$" if not in_class:
                written.append(r"\Z")
            case _:
                in_class = piece == "[" or (in_class and piece != "]")
                written.append(piece)
    return "".join(written)


def _invalid(place: str, fault: str) -> ValueError:
    return ValueError(f"invalid JSON Schema at {place}: {fault}")
