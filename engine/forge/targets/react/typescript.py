"""TypeScript and JSON as Prettier lays them out at 100 columns, so that nothing has to be formatted
after generation. `tests/integration/test_react.py` holds Prettier itself against it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

WIDTH = 100
_STEP = 2
_LONG_KEY = _STEP + 3
"""Characters of a key from which on a long text is moved to a line of its own."""
_INVISIBLE = re.compile("[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Code:
    """An expression that is written as it is."""

    text: str


Value: TypeAlias = "str | bool | int | Code | Sequence[Value] | Mapping[str, Value]"


def string(text: str) -> str:
    """A string literal in ASCII, in the quotes that need fewer escapes; double ones before."""
    escaped = json.dumps(text)
    if text.count('"') <= text.count("'"):
        return escaped
    return "'" + escaped[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def inline(value: Value) -> str:
    """The value on one line."""
    match value:
        case Code():
            return value.text
        case str():
            return string(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Mapping():
            parts = ", ".join(f"{key}: {inline(item)}" for key, item in value.items())
            return f"{{ {parts} }}" if parts else "{}"
        case _:
            return f"[{', '.join(inline(item) for item in value)}]"


def layout(value: Value, indent: int = 0, used: int = 0, tail: int = 1) -> str:
    """The value, over as many lines as it needs.

    `indent` is that of the line that it begins on, `used` the columns before it, `tail` how many
    characters follow it on its last line.
    """
    line = inline(value)
    if isinstance(value, str | bool | int | Code):
        return line
    if not _must_break(value) and used + len(line) + tail <= WIDTH:
        return line
    inner = indent + _STEP
    pad = " " * inner
    if isinstance(value, Mapping):
        lines = [f"{pad}{_property(key, item, inner)},\n" for key, item in value.items()]
        return "{\n" + "".join(lines) + " " * indent + "}"
    lines = [f"{pad}{layout(item, inner, inner)},\n" for item in value]
    return "[\n" + "".join(lines) + " " * indent + "]"


def _property(key: str, value: Value, indent: int) -> str:
    head = f"{key}: "
    room = WIDTH - indent - len(head) - 1
    if isinstance(value, str) and len(string(value)) > room and len(key) >= _LONG_KEY:
        return f"{key}:\n{' ' * (indent + _STEP)}{string(value)}"
    return head + layout(value, indent, indent + len(head))


def _must_break(value: Value) -> bool:
    """Several objects of several properties each never share a line, nor does what holds them."""
    if isinstance(value, Mapping):
        return any(_must_break(item) for item in value.values())
    if isinstance(value, str | bool | int | Code):
        return False
    several = len(value) > 1 and all(isinstance(item, Mapping) and len(item) > 1 for item in value)
    return several or any(_must_break(item) for item in value)


def call(function: str, arguments: Sequence[Value], indent: int, used: int) -> str:
    """A call whose last argument may be an object over several lines."""
    *firsts, last = [*arguments]
    head = "".join(f"{inline(each)}, " for each in firsts)
    opening = f"{function}({head}"
    return opening + layout(last, indent, used + len(opening), tail=2) + ")"


def constant(name: str, value: str) -> str:
    """An exported string."""
    line = f"export const {name} = {string(value)};"
    if len(line) > WIDTH:
        line = f"export const {name} =\n  {string(value)};"
    return line + "\n"


def import_line(names: Sequence[str], module: str, keyword: str = "import") -> str:
    """The import of these names; nothing for none."""
    if not names:
        return ""
    line = f'{keyword} {{ {", ".join(names)} }} from "{module}";\n'
    if len(line) - 1 <= WIDTH or len(names) == 1:
        return line
    lines = "".join(f"  {name},\n" for name in names)
    return f'{keyword} {{\n{lines}}} from "{module}";\n'


def json_text(value: object) -> str:
    """JSON for people to read: Arabic as it is, only what can't be seen escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=_STEP)
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"
