"""What a format is: an importer reads it into a draft, an exporter writes a Blueprint in it.

Both keep no state, read no clock, open no file and ask no network. The same input gives the same
output. They are plugins of the kinds `importers` and `exporters`.
"""

from __future__ import annotations

from typing import NoReturn, Protocol, runtime_checkable

from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.reader import MAX_BYTES
from engine.forge.formats.draft import Draft
from engine.forge.formats.report import NOWHERE, Place
from engine.kernel.errors import InvalidInput, TooLarge
from engine.kernel.plugins import Registry


@runtime_checkable
class Importer(Protocol):
    """Reads one format.

    `name` is what callers call the format, `suffixes` are the endings of its files (lower case,
    with the dot), best first.
    """

    @property
    def name(self) -> str: ...

    @property
    def suffixes(self) -> tuple[str, ...]: ...

    def read(self, text: str, dialect: str | None = None) -> Draft:
        """Everything that the text declares.

        Each construct is in the draft or in its `entries`. `dialect` chooses between variants of
        the format. Raises `InvalidInput`, with `line` and `column` where they are known, for text
        that is not of the format; nothing else, whatever the text is.
        """
        ...


@runtime_checkable
class Exporter(Protocol):
    """Writes one format; `media_type` is that of the text."""

    @property
    def name(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    @property
    def media_type(self) -> str: ...

    def write(self, blueprint: Blueprint) -> str:
        """The text, ending with a newline. Raises `InvalidInput` if it can't be laid out."""
        ...


def importers() -> Registry[Importer]:
    return Registry("importers", Importer)  # type: ignore[type-abstract]


def exporters() -> Registry[Exporter]:
    return Registry("exporters", Exporter)  # type: ignore[type-abstract]


def text_of(source: str | bytes) -> str:
    """The source as text without a byte-order mark.

    Raises `TooLarge` beyond one million bytes and `InvalidInput` for what is not UTF-8 text.
    """
    data = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if len(data) > MAX_BYTES:
        raise TooLarge(
            f"The source is larger than {MAX_BYTES:,} bytes.", mend="Import a part of it."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        refuse("this is not UTF-8 text", Place(line, error.start - before.rfind(b"\n")))
    position = text.find("\0")
    if position >= 0:
        refuse("a NUL character is not text", place_at(text, position))
    return text


def place_at(text: str, position: int) -> Place:
    """The line and column of a character."""
    before = text.rfind("\n", 0, position)
    return Place(text.count("\n", 0, position) + 1, position - before)


def refuse(message: str, place: Place = NOWHERE, mend: str | None = None) -> NoReturn:
    """Raise `InvalidInput` for a source that can't be read at `place`."""
    where = f"line {place.line}, column {place.column}: " if place.line else ""
    problem = {"path": "", "line": place.line, "column": place.column, "message": message}
    raise InvalidInput(
        f"The source can't be imported: {where}{message}.",
        mend=mend or "Correct the place and try again.",
        line=place.line,
        column=place.column,
        errors=[problem],
    )
