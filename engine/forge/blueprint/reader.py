"""From text to plain data with the place of every key and value.

YAML 1.2 (core schema) and JSON are read through one stream of parser events, so that depth, size,
aliases and tags are refused while reading, before anything grows from them: no input makes this
module recurse, expand or wait. Without aliases the tree is never larger than the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml  # type: ignore[import-untyped]

from engine.forge.blueprint.problems import Finding, Path, quoted
from engine.kernel.errors import TooLarge

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_NODES = 150_000
MAX_DIGITS = 40
MAX_FINDINGS = 1_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# C0 and C1 controls, line separators, embedded direction overrides, byte-order marks. The marks
# that Arabic text needs (U+200C to U+200F, U+061C) stay allowed.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)

_NULL = re.compile(r"|~|null|Null|NULL")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_PLAIN_WORDS = {
    "mapping values are not allowed in this context": (
        "a `:` is not expected here; quote a text that holds `: `, or check the indentation"
    ),
    "did not find expected key": "a key is expected here; check the indentation and the quotes",
    "did not find expected '-' indicator": "a list item (`- `) is expected here",
    "could not find expected ':'": "a key must be followed by `:` and a value",
    "did not find expected ',' or ']'": "the list `[…]` is not closed",
    "did not find expected ',' or '}'": "the mapping `{…}` is not closed",
    "found unexpected end of stream": "the document ends inside a quoted text",
    "found invalid Unicode character escape code": "this escape is not a Unicode character",
    "found unknown escape character": "this escape (`\\`) is not known; use single quotes",
    "did not find expected <document start>": "nothing may follow the end of the document",
    "found undefined tag handle": "tags (`!…`) are not part of the language",
}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the text; both count from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """What was read, up to the first fatal problem.

    `literals` has the source text of plain scalars that are not strings. Nothing at a path in
    `broken` may be judged further: it was refused while reading and holds `None`.
    """

    data: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    literals: dict[Path, str] = field(default_factory=dict)
    broken: set[Path] = field(default_factory=set)
    findings: list[tuple[Place, Finding]] = field(default_factory=list)
    fatal: bool = False

    def place(self, finding: Finding) -> Place:
        """Where to point: the key or value itself, else its nearest part that exists."""
        path = finding.path
        if finding.at == "value" and path in self.values:
            return self.values[path]
        for end in range(len(path), 0, -1):
            if (found := self.keys.get(path[:end]) or self.values.get(path[:end])) is not None:
                return found
        return self.values.get((), Place(1, 1))


def read(source: str | bytes) -> Document:
    """Read one YAML or JSON document. Raises `TooLarge`; every other problem is a finding."""
    document = Document()
    text = _decode(source, document)
    if text is None:
        return document
    if text.lstrip()[:1] in ("{", "["):
        text = _PAIR.sub(_join_pair, text)
    builder = _Builder(document)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
            if document.fatal:
                return document
    except yaml.MarkedYAMLError as error:
        _refuse(
            document,
            _syntax_place(error, text),
            _syntax_message(error, text),
            builder.path,
            rule="yaml-syntax",
        )
    except (yaml.YAMLError, ValueError) as error:
        _refuse(
            document,
            Place(1, 1),
            f"this is not valid YAML ({type(error).__name__})",
            (),
            rule="yaml-syntax",
        )
    if not document.fatal and builder.documents == 0:
        _refuse(document, Place(1, 1), "the document is empty", (), rule="document-empty")
    return document


def read_data(data: object) -> Document:
    """Take over JSON values as a `Document` whose places only give the order of its parts.

    Raises `TooLarge`; values that JSON can't express are findings.
    """
    document = Document()
    document.data = _Copy(document).take(data, (), 0)
    return document


def is_text(literal: str) -> bool:
    """Whether a plain YAML 1.2 scalar with this text is a string."""
    patterns = (_NULL, _BOOL, _INT, _FLOAT, _NOT_FINITE)
    return not any(pattern.fullmatch(literal) for pattern in patterns)


def _refuse(document: Document, place: Place, message: str, path: Path, *, rule: str) -> None:
    document.findings.append((place, Finding(path, message, rule=rule)))
    document.fatal = True


def _decode(source: str | bytes, document: Document) -> str | None:
    if len(source) > MAX_BYTES:
        raise _too_large(f"The document has more than {MAX_BYTES:,} bytes.")
    if isinstance(source, bytes):
        try:
            text = source.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = source[: error.start].decode("utf-8-sig", errors="replace")
            _refuse(
                document, _end_of(before), "the document is not valid UTF-8", (), rule="encoding"
            )
            return None
    else:
        text = source.removeprefix("\ufeff")
    bad = _CONTROL.search(text) or _SURROGATE.search(text)
    if bad:
        _refuse(
            document,
            _end_of(text[: bad.start()]),
            _not_allowed(bad),
            (),
            rule="character-forbidden",
        )
        return None
    if len(text.encode()) > MAX_BYTES:
        raise _too_large(f"The document has more than {MAX_BYTES:,} bytes.")
    return text


def _too_large(detail: str) -> TooLarge:
    return TooLarge(detail, mend="Split the platform into smaller ones.")


def _not_allowed(bad: re.Match[str]) -> str:
    return f"the character U+{ord(bad.group()):04X} is not allowed; remove it"


def _end_of(text: str) -> Place:
    lines = re.split(r"\r\n|\r|\n", text)
    return Place(len(lines), len(lines[-1]) + 1)


def _join_pair(match: re.Match[str]) -> str:
    """JSON writes characters beyond the basic plane as two escapes, YAML as one."""
    high, low = int(match[2], 16), int(match[3], 16)
    return f"{match[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08X}"


def _syntax_place(error: Any, text: str) -> Place:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Place(1, 1)
    lines = text.splitlines() or [""]
    if mark.line >= len(lines):
        return Place(len(lines), len(lines[-1]) + 1)
    return Place(mark.line + 1, mark.column + 1)


def _syntax_message(error: Any, text: str) -> str:
    problem = str(error.problem)
    mark = error.problem_mark
    if problem == "found character that cannot start any token" and mark is not None:
        lines = text.splitlines()
        found = lines[mark.line][mark.column : mark.column + 1] if mark.line < len(lines) else ""
        if found == "\t":
            return "tabs can't be used for indentation; use spaces"
        return f"a value can't start with {quoted(found)}; put it in quotes"
    plain = _PLAIN_WORDS.get(problem, problem)
    where = ""
    if error.context_mark is not None and mark is not None and error.context_mark.line < mark.line:
        where = f" (it begins on line {error.context_mark.line + 1})"
    return f"this is not valid YAML: {plain}{where}"


@dataclass(slots=True)
class _Frame:
    """A collection that is being read; `key` waits for its value (always `None` in a list)."""

    path: Path
    items: dict[str, Any] | list[Any]
    key: str | None = None
    skip_value: bool = False


class _Builder:
    """Builds the data of a `Document` from parser events, without recursion."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.documents = 0
        self.nodes = 0
        self.frames: list[_Frame] = []
        self.skipping = 0
        self.actions: dict[type, Callable[[Any], None]] = {
            yaml.DocumentStartEvent: self._document,
            yaml.ScalarEvent: self._node,
            yaml.AliasEvent: self._node,
            yaml.MappingStartEvent: self._node,
            yaml.SequenceStartEvent: self._node,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
        }

    @property
    def path(self) -> Path:
        """The path of the value that comes next."""
        if not self.frames:
            return ()
        frame = self.frames[-1]
        if isinstance(frame.items, list):
            return (*frame.path, len(frame.items))
        return frame.path if frame.key is None else (*frame.path, frame.key)

    def take(self, event: Any) -> None:
        action = self.actions.get(type(event))
        if action is not None:
            action(event)

    def _document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            message = "only one document (`---`) is allowed in a file"
            _refuse(self.document, _start(event), message, (), rule="document-several")

    def _node(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _too_large(f"The document has more than {MAX_NODES:,} parts.")
        if len(self.document.findings) >= MAX_FINDINGS:
            self.document.fatal = True
        if event.anchor is not None:
            message = "anchors (`&`) and aliases (`*`) are not allowed; write the value out"
            _refuse(self.document, _start(event), message, self.path, rule="yaml-alias")
        elif event.tag is not None:
            message = f"tags ({quoted(event.tag)}) are not part of the language; remove it"
            _refuse(self.document, _start(event), message, self.path, rule="yaml-tag")
        elif self.skipping:
            self._skip(event)
        elif self._expects_key():
            self._key(event)
        else:
            self._value(event)

    def _skip(self, event: Any) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            self.skipping += 1
            self._check_depth(event)

    def _expects_key(self) -> bool:
        if not self.frames:
            return False
        frame = self.frames[-1]
        return isinstance(frame.items, dict) and frame.key is None

    def _key(self, event: Any) -> None:
        frame = self.frames[-1]
        if not isinstance(event, yaml.ScalarEvent):
            _refuse(
                self.document,
                _start(event),
                "a key must be plain text",
                frame.path,
                rule="key-not-text",
            )
            return
        frame.key = event.value
        path, place = self.path, _start(event)
        first = self.document.keys.setdefault(path, place)
        frame.skip_value = first is not place
        if frame.skip_value:
            message = (
                f"{quoted(event.value)} is declared twice, on line {first.line} (column"
                f" {first.column}) and again on line {place.line} (column {place.column})"
            )
            self.document.findings.append(
                (place, Finding(path, message, at="key", rule="key-twice"))
            )

    def _value(self, event: Any) -> None:
        path = self.path
        skip = bool(self.frames) and self.frames[-1].skip_value
        if isinstance(event, yaml.ScalarEvent):
            self._put(event, None if skip else self._scalar(event))
            return
        if skip:
            self._put(event, None)
            self.skipping = 1
        else:
            items: dict[str, Any] | list[Any]
            items = {} if isinstance(event, yaml.MappingStartEvent) else []
            self._put(event, items)
            self.frames.append(_Frame(path, items))
        self._check_depth(event)

    def _put(self, event: Any, value: Any) -> None:
        frame = self.frames[-1] if self.frames else None
        if frame is None or not frame.skip_value:
            self.document.values[self.path] = _start(event)
        if frame is None:
            self.document.data = value
        elif isinstance(frame.items, list):
            frame.items.append(value)
        else:
            if not frame.skip_value and frame.key is not None:
                frame.items[frame.key] = value
            frame.key, frame.skip_value = None, False

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.implicit[0] and not is_text(text):
            return self._resolve(event, text)
        if bad := _CONTROL.search(text):
            self._find(event, _not_allowed(bad), rule="character-forbidden")
            return None
        return text

    def _resolve(self, event: Any, text: str) -> Any:
        self.document.literals[self.path] = text
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        value = _number(text)
        if value is None:
            self._find(
                event, f"the number {quoted(text)} can't be stored", rule="number-unstorable"
            )
        return value

    def _find(self, event: Any, message: str, *, rule: str) -> None:
        self.document.findings.append((_start(event), Finding(self.path, message, rule=rule)))
        self.document.broken.add(self.path)

    def _check_depth(self, event: Any) -> None:
        if len(self.frames) + self.skipping > MAX_DEPTH:
            message = f"the document is nested more than {MAX_DEPTH} levels deep"
            _refuse(self.document, _start(event), message, self.path, rule="nesting")

    def _end(self, _event: Any) -> None:
        if self.skipping:
            self.skipping -= 1
        else:
            self.frames.pop()


def _start(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _number(text: str) -> int | float | None:
    """The number that a YAML 1.2 literal means; `None` if it is beyond what can be stored."""
    if len(text) > MAX_DIGITS or _NOT_FINITE.fullmatch(text):
        return None
    if text[:2] in ("0o", "0x"):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _INT.fullmatch(text):
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else None


@dataclass(slots=True)
class _Copy:
    """Copies JSON values into a `Document` and numbers them in reading order."""

    document: Document
    nodes: int = 0
    characters: int = 0

    def take(self, value: object, path: Path, depth: int) -> Any:
        self.nodes += 1
        place = Place(self.nodes, 1)
        self.document.values[path] = place
        if self.nodes > MAX_NODES:
            raise _too_large(f"The document has more than {MAX_NODES:,} parts.")
        if depth > MAX_DEPTH:
            if not self.document.fatal:
                message = f"the document is nested more than {MAX_DEPTH} levels deep"
                _refuse(self.document, place, message, path, rule="nesting")
            return None
        if isinstance(value, dict):
            return dict(self._pairs(value, path, depth))
        if isinstance(value, list | tuple):
            return [self.take(item, (*path, i), depth + 1) for i, item in enumerate(value)]
        return self._scalar(value, path, place)

    def _pairs(self, value: dict[Any, Any], path: Path, depth: int) -> Iterator[tuple[str, Any]]:
        for key, item in value.items():
            if not isinstance(key, str) or _SURROGATE.search(key):
                self._refuse(
                    path, Place(self.nodes, 1), "a key must be plain text", rule="key-not-text"
                )
                continue
            self._measure(key)
            self.document.keys[(*path, key)] = Place(self.nodes + 1, 1)
            yield key, self.take(item, (*path, key), depth + 1)

    def _measure(self, text: str) -> None:
        self.characters += len(text)
        if self.characters > MAX_BYTES:
            raise _too_large(f"The document has more than {MAX_BYTES:,} characters.")

    def _scalar(self, value: object, path: Path, place: Place) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            self._measure(value)
            if bad := _CONTROL.search(value) or _SURROGATE.search(value):
                return self._refuse(path, place, _not_allowed(bad), rule="character-forbidden")
            return value
        if isinstance(value, int) and abs(value) < 10**MAX_DIGITS:
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        return self._refuse(path, place, "this value can't be stored", rule="value-not-json")

    def _refuse(self, path: Path, place: Place, message: str, *, rule: str) -> None:
        if len(self.document.findings) < MAX_FINDINGS:
            self.document.findings.append((place, Finding(path, message, rule=rule)))
        self.document.broken.add(path)
