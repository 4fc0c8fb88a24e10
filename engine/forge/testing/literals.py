"""Python source for nested data, laid out as a formatter would leave it.

The generated tests state what the Blueprint says as plain Python data. This writes such data:
what fits in the line stays in it, the rest goes one item per line with a trailing comma.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

WIDTH = 100
_LONG_RUN = 12


@dataclass(frozen=True)
class Name:
    """An expression that is written as it stands."""

    code: str


@dataclass(frozen=True)
class Call:
    """`name(first, key=value, …)`."""

    name: str
    arguments: Mapping[str, object]
    first: tuple[object, ...] = ()


def source(value: object, *, indent: int = 0, before: int = 0, after: int = 0) -> str:
    """The expression for `value`, which starts on a line that is indented by `indent` spaces.

    `before` and `after` count the other characters of that line.

    `value` is built of `Call`, `Name`, tuples, lists, dicts, strings, numbers, booleans and `None`.
    """
    flat = _flat(value)
    if indent + before + len(flat) + after <= WIDTH:
        return flat
    match value:
        case Call(name, arguments, first):
            parts: list[tuple[str, object]] = [("", item) for item in first]
            parts += [(f"{key}=", item) for key, item in arguments.items()]
            return _exploded(f"{name}(", parts, ")", indent)
        case tuple():
            return _exploded("(", [("", item) for item in value], ")", indent)
        case list():
            return _exploded("[", [("", item) for item in value], "]", indent)
        case dict():
            parts = [(f"{_flat(key)}: ", item) for key, item in value.items()]
            return _exploded("{", parts, "}", indent)
        case _:
            return flat


def fits(value: object, room: int) -> bool:
    """Whether the value can be written in one line of this many characters."""
    return len(_flat(value)) <= room


def _exploded(opening: str, parts: list[tuple[str, object]], closing: str, indent: int) -> str:
    if not parts:
        return opening + closing
    inner = indent + 4
    lines = [
        f"{' ' * inner}{prefix}{source(item, indent=inner, before=len(prefix), after=1)},"
        for prefix, item in parts
    ]
    return "\n".join([opening, *lines, f"{' ' * indent}{closing}"])


def _flat(value: object) -> str:
    match value:
        case Name(code):
            return code
        case Call(name, arguments, first):
            parts = [_flat(item) for item in first]
            parts += [f"{key}={_flat(item)}" for key, item in arguments.items()]
            return f"{name}({', '.join(parts)})"
        case tuple():
            return f"({', '.join(map(_flat, value))}{',' if len(value) == 1 else ''})"
        case list():
            return f"[{', '.join(map(_flat, value))}]"
        case dict():
            return f"{{{', '.join(f'{_flat(key)}: {_flat(item)}' for key, item in value.items())}}}"
        case str():
            return _text(value)
        case None | bool() | int() | float():
            return repr(value)
        case _:
            raise TypeError(f"no source is known for {type(value).__name__}")


def _text(text: str) -> str:
    """A string, with long runs of one character written as a product."""
    if len(text) <= _LONG_RUN:
        return _quoted(text)
    pieces: list[str] = []
    plain = ""
    for character, run in groupby(text):
        length = len(list(run))
        if length < _LONG_RUN:
            plain += character * length
            continue
        pieces += [_quoted(plain)] if plain else []
        pieces.append(f"{_quoted(character)} * {length}")
        plain = ""
    pieces += [_quoted(plain)] if plain else []
    return " + ".join(pieces)


def _quoted(text: str) -> str:
    body = ascii(text)
    if body[0] == '"' or '"' in text:
        return body
    return '"' + body[1:-1] + '"'
