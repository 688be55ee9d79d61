"""What a request may hold, declared once: its parser, its description and its errors follow it."""

import dataclasses
import json
from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from pydantic import BaseModel

from service.errors import InvalidOptionError
from service.options import JSON
from service.settings import Settings

Fragment = dict[str, Any]
"""A piece of an OpenAPI description."""

# Parts that a form may have beside those that are counted by ``room``: the query, and each option.
SPARE_PARTS = 16


@dataclass(frozen=True)
class FilePart:
    """A file, or ``many`` of one name, which errors count from [0].

    ``room`` names the settings whose product is how many the longest sensible form has.
    ``media_types`` are of other files than images. One that holds JSON of a ``model`` may be sent
    as text, too, and blank as if it were not sent. One ``in_place_of`` another may be sent instead
    of that.
    """

    name: str
    description: str
    required: bool = True
    many: bool = False
    room: tuple[str, ...] = ()
    media_types: str | None = None
    model: type[BaseModel] | None = None
    in_place_of: str | None = None

    def schema(self) -> Fragment:
        """One file, or an array of them.

        JSON is described as text that holds it: forms of the reference would send an example of an
        object's schema, although nobody has chosen it.
        """
        content: Fragment = {"type": "string", "format": "binary"}
        if self.model:
            held = {"$ref": f"#/components/schemas/{self.model.__name__}"}
            content = {"type": "string", "contentMediaType": JSON, "contentSchema": held}
        return _one_or_many(
            self.many, content | {"description": self.description}, 1 if self.required else 0
        )


@dataclass(frozen=True)
class TextPart:
    """Text on one line, or ``many`` of one name; the spaces around it are dropped.

    It may be blank unless it is ``required`` or one of many.
    """

    name: str
    description: str
    example: str
    max_length: int
    required: bool = False
    many: bool = False
    room: tuple[str, ...] = ()

    def schema(self) -> Fragment:
        """One text, or an array of them."""
        least = {"minLength": 1} if self.required or self.many else {}
        limits = {"type": "string", "maxLength": self.max_length, **least}
        about = {"description": self.description, "examples": [self.example]}
        return _one_or_many(self.many, limits | about)

    def check(self, text: str, field: str) -> str:
        """The text without the spaces around it; InvalidOptionError calls it ``field``."""
        text = text.strip()
        if len(text) > self.max_length:
            raise InvalidOptionError(
                f"{field} has {len(text)} characters; send at most {self.max_length}", field=field
            )
        if not text.isprintable():
            raise InvalidOptionError(
                f"{field} holds a character that cannot be shown; send plain text on one line",
                field=field,
            )
        return text


@dataclass(frozen=True)
class Parameter:
    """Text that stands in the query string alone, once or ``many`` times.

    A request with it may leave out the parts ``in_place_of``; unless ``beside``, it must.
    """

    name: str
    description: str
    example: str = ""
    many: bool = False
    in_place_of: tuple[str, ...] = ()
    beside: bool = False

    def schema(self) -> Fragment:
        """One text, or an array of them."""
        if self.many:
            return {"type": "array", "items": {"type": "string"}, "description": self.description}
        about = {"description": self.description, "examples": [self.example]}
        return {"type": "string"} | about


@dataclass(frozen=True)
class FormLayout:
    """The parts of a form; its options, as parts or in the query string; and its parameters.

    ``headers`` are described, and read elsewhere.
    """

    parts: tuple[FilePart | TextPart, ...]
    options: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[Fragment, ...] = ()

    @cached_property
    def files(self) -> dict[str, FilePart]:
        """The files by their names."""
        return {part.name: part for part in self.parts if isinstance(part, FilePart)}

    def stand_ins(self, name: str) -> list[str]:
        """Names of the files that may be sent in place of this one."""
        return [part.name for part in self.files.values() if part.in_place_of == name]

    @cached_property
    def texts(self) -> dict[str, TextPart]:
        """The texts by their names."""
        return {part.name: part for part in self.parts if isinstance(part, TextPart)}

    @cached_property
    def option_names(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(self.options.model_fields) if self.options else ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all that may be a part."""
        return (*self.files, *self.texts, *self.option_names)

    @cached_property
    def many(self) -> frozenset[str]:
        """Names of the parts that may come more than once."""
        return frozenset(part.name for part in self.parts if part.many)

    @cached_property
    def in_query(self) -> tuple[str, ...]:
        """Names of the parts that the query string may hold instead: options, and single texts."""
        single_texts = [name for name, part in self.texts.items() if not part.many]
        return (*single_texts, *self.option_names)

    def given(self, parameters: Container[str]) -> "FormLayout":
        """The layout of a request whose query string has these names."""
        layout = self
        for parameter in self.parameters:
            if parameter.name in parameters:
                layout = layout._without(parameter)
        return layout

    def max_parts(self, settings: Settings) -> int:
        """Parts of the longest sensible form; one with more is refused unread."""
        rooms = (part.room for part in self.parts if part.room)
        counts: list[int] = [prod(getattr(settings, name) for name in room) for room in rooms]
        return SPARE_PARTS + sum(counts)

    def option_schemas(self) -> dict[str, Fragment]:
        """Each option's description, with its default told and shown, but not declared.

        Programs that fill declared defaults in would send an option as a part and in the query
        string; pages that try out an API send the example of each part, which must change nothing.
        """
        if self.options is None:
            return {}
        properties: Fragment = self.options.model_json_schema()["properties"]
        return {name: _option_schema(schema) for name, schema in properties.items()}

    def _without(self, parameter: Parameter) -> "FormLayout":
        parts = [
            dataclasses.replace(part, required=False)
            if part.name in parameter.in_place_of
            else part
            for part in self.parts
            if parameter.beside or part.name not in parameter.in_place_of
        ]
        return dataclasses.replace(self, parts=tuple(parts))


def _option_schema(schema: Fragment) -> Fragment:
    default = schema["default"]
    told = json.dumps(default).strip('"')
    about = f"{schema['description']} Default: {told}. Query parameter or part, not both."
    kept = {name: schema[name] for name in schema if name not in ("default", "title")}
    shown = {} if default is None else {"examples": [default]}
    return kept | {"description": about} | shown


def _one_or_many(many: bool, schema: Fragment, least: int = 1) -> Fragment:
    if not many:
        return schema
    bounds: Fragment = {"minItems": least} if least else {"default": []}
    return {"type": "array", "items": schema} | bounds
