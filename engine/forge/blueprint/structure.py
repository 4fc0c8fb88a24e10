"""Whether data has the shape of a Blueprint, told in plain words.

`fit` asks the models, which are the only description of the language, and translates what they
answer: the place, what is wrong, and the word that was probably meant. It then leaves out the
wrong parts until the rest fits, so that the meaning of the rest can be checked in the same round.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from engine.forge.blueprint.model import (
    MAX_ENTITIES,
    Blueprint,
    DataClass,
    FieldSpec,
    FieldType,
    MemberName,
    Prose,
    RelationKind,
    Slug,
    Text,
    TypeName,
    Words,
)
from engine.forge.blueprint.problems import Finding, Path, closest, listed, quoted
from engine.forge.blueprint.reader import Document

MOST_EXPLAINED = 50
_MOST_ROUNDS = 8
_NO_NAME = "no-name"

_OTHER_WORDS: dict[Any, dict[str, str]] = {
    FieldType: {
        "str": "string", "char": "string", "varchar": "string", "longtext": "text",
        "int": "integer", "number": "decimal", "float": "decimal", "double": "decimal",
        "numeric": "decimal", "bool": "boolean", "datetime": "instant", "timestamp": "instant",
        "guid": "uuid", "link": "url", "uri": "url", "mobile": "phone", "choice": "enum",
        "select": "enum", "currency": "money", "price": "money", "object": "json",
        "jsonb": "json", "interval": "duration", "timespan": "duration",
    },
    RelationKind: {
        "belongs_to": "many_to_one", "foreign_key": "many_to_one", "has_one": "one_to_one",
        "reference": "many_to_one", "many": "many_to_many",
    },
    DataClass: {"personal": "pii", "health": "phi", "card": "pci", "password": "secret"},
    FieldSpec: {
        "label": "title", "regex": "pattern", "choices": "enum", "values": "enum",
        "minimum": "min", "maximum": "max", "length": "max_length", "mandatory": "required",
    },
}  # fmt: skip

_YES_NO = {"yes": "true", "y": "true", "on": "true", "1": "true"} | dict.fromkeys(
    ("no", "n", "off", "0"), "false"
)


@dataclass(slots=True)
class Fit:
    """What the models say: the Blueprint of the fitting parts, the findings, what was left out.

    `left_out` has the paths that the Blueprint lacks although the document means to have them.
    `more` counts the problems that are not explained because there are too many.
    """

    blueprint: Blueprint | None = None
    findings: list[Finding] = field(default_factory=list)
    left_out: set[Path] = field(default_factory=set)
    more: int = 0


@dataclass(frozen=True, slots=True)
class _Wrong:
    """One answer of the models, at the path of the key or value that exists (or is missing)."""

    path: Path
    kind: str
    context: dict[str, Any]
    message: str
    at_key: bool
    value: Any


def fit(document: Document) -> Fit:
    """Compare `document` with the language. Never raises for what the document holds."""
    result = Fit(left_out=set(document.broken))
    data = document.data
    if not isinstance(data, dict):
        if () not in document.broken:
            message = "a Blueprint is a mapping of keys such as `name` and `entities`"
            result.findings.append(Finding((), message, rule="document-shape"))
        return result
    entities = data.get("entities")
    if isinstance(entities, dict) and len(entities) > MAX_ENTITIES:
        message = f"there are {len(entities)} entities; a Blueprint has at most {MAX_ENTITIES}"
        result.findings.append(Finding(("entities",), message, at="key", rule="entities-exceeded"))
        return result
    answer = _ask(data)
    if isinstance(answer, Blueprint):
        result.blueprint = answer
    else:
        _explain_all(answer, document, result)
        if not result.more:
            result.blueprint = _fitting_part(data, answer, result)
    return result


def _explain_all(wrongs: list[_Wrong], document: Document, result: Fit) -> None:
    told = [
        wrong
        for wrong in wrongs
        if wrong.kind == "extra_forbidden" or not _below(wrong.path, document.broken)
    ]
    told.sort(key=lambda wrong: document.place(Finding(wrong.path, "", rule=_rule_of(wrong))))
    result.more = max(0, len(told) - MOST_EXPLAINED)
    result.findings += [_explain(wrong, document) for wrong in told[:MOST_EXPLAINED]]


def _fitting_part(data: Any, wrongs: list[_Wrong], result: Fit) -> Blueprint | None:
    """The Blueprint without the wrong parts, or `None` if nothing sensible is left."""
    remaining = json.loads(json.dumps(data))
    for _ in range(_MOST_ROUNDS):
        for wrong in reversed(wrongs):
            path = wrong.path[:-1] if wrong.kind == "missing" else wrong.path
            if wrong.path == ("name",):
                result.left_out.add(wrong.path)
                remaining["name"] = _NO_NAME
                continue
            if path in ((), ("entities",)):
                return None
            result.left_out.add(path)
            meant = _meant_key(wrong)
            if meant is not None:
                result.left_out.add((*path[:-1], meant))
            _remove(remaining, path)
        answer = _ask(remaining)
        if isinstance(answer, Blueprint):
            return answer
        wrongs = answer
    return None


def _meant_key(wrong: _Wrong) -> str | None:
    """The key that a wrong key stands for, so that what refers to it isn't blamed."""
    if wrong.kind == "extra_forbidden":
        return closest(str(wrong.path[-1]), _keys(_annotation(wrong.path[:-1])))
    return _bad_name(wrong)[1] if wrong.at_key and wrong.kind == "string_pattern_mismatch" else None


def _remove(data: Any, path: Path) -> None:
    for part in path[:-1]:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(data, dict):
        data.pop(path[-1], None)
    elif isinstance(data, list) and isinstance(path[-1], int) and path[-1] < len(data):
        del data[path[-1]]


def _ask(data: Any) -> Blueprint | list[_Wrong]:
    try:
        return Blueprint.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        found: dict[tuple[Path, bool], _Wrong] = {}
        for item in error.errors(include_url=False, include_input=False):
            wrong = _wrong(data, item)
            found.setdefault((wrong.path, wrong.at_key), wrong)
        return list(found.values())


def _wrong(data: Any, item: Any) -> _Wrong:
    """Follow the location as far as the data goes: what follows names the arm of a union."""
    path: list[str | int] = []
    value = data
    at_key = False
    for part in item["loc"]:
        if _has(value, part):
            value = value[part]
        elif item["type"] == "missing" and isinstance(value, dict):
            value = None
        else:
            at_key = part == "[key]"
            break
        path.append(part)
    return _Wrong(tuple(path), item["type"], item.get("ctx") or {}, item["msg"], at_key, value)


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _below(path: Path, roots: Iterable[Path]) -> bool:
    return any(path[: len(root)] == root for root in roots)


def _bare(annotation: Any) -> Any:
    """The annotation without metadata and without `None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        arms = [arm for arm in get_args(annotation) if arm is not type(None)]
        return _bare(arms[0]) if len(arms) == 1 else annotation
    return annotation


def _annotation(path: Path) -> Any:
    """The type that the language has at `path`; `None` where it has nothing."""
    current: Any = Blueprint
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            found = [
                info.annotation
                for name, info in current.model_fields.items()
                if part == (info.alias or name)
            ]
            current = _bare(found[0]) if found else None
        elif get_origin(current) in (dict, list):
            current = _bare(get_args(current)[-1])
        else:
            return None
    return current


def _keys(annotation: Any) -> list[str]:
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return []
    return [info.alias or name for name, info in annotation.model_fields.items()]


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(value.value if isinstance(value, Enum) else value)
                for value in get_args(annotation)]  # fmt: skip
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(value.value) for value in annotation]
    return []


def _explain(wrong: _Wrong, document: Document) -> Finding:
    if wrong.value is None and wrong.kind not in ("missing", "extra_forbidden"):
        return Finding(
            wrong.path,
            "has no value; give it one or remove the key",
            at="key",
            rule="value-missing",
        )
    explain = _EXPLAIN.get(wrong.kind)
    if explain is not None:
        message, suggestion = explain(wrong, document)
    elif wrong.kind.endswith("_type"):
        message, suggestion = _wrong_type(wrong, document)
    else:
        message, suggestion = wrong.message.removeprefix("Input ").rstrip("."), None
    on_key = wrong.at_key or wrong.kind in ("missing", "extra_forbidden")
    at: Literal["key", "value"] = "key" if on_key else "value"
    return Finding(wrong.path, message, suggestion, at=at, rule=_rule_of(wrong))


def _rule_of(wrong: _Wrong) -> str:
    """The rule that was broken, by its name in the catalogue."""
    if wrong.kind == "extra_forbidden" and wrong.path[-1] == "<<":
        return "yaml-merge"
    if wrong.kind == "enum" and _annotation(wrong.path) is FieldType:
        return "field-type-unknown"
    if wrong.kind == "string_pattern_mismatch":
        pattern = str(wrong.context.get("pattern"))
        if pattern in _LINES:
            return "text-lines"
        return "name-form" if pattern in _NAMES else "currency-form"
    return _RULES.get(wrong.kind, "value-type" if wrong.kind.endswith("_type") else "value-form")


_Told = tuple[str, str | None]


def _missing(wrong: _Wrong, document: Document) -> _Told:
    return f"{quoted(str(wrong.path[-1]))} is missing; it is required here", None


def _unknown_key(wrong: _Wrong, document: Document) -> _Told:
    key = str(wrong.path[-1])
    if key == "<<":
        return "merge keys (`<<`) are not part of the language; write the keys out", None
    here = _annotation(wrong.path[:-1])
    known = _keys(here)
    other = _OTHER_WORDS.get(here, {}).get(key.lower())
    return f"unknown key {quoted(key)}; known here: {listed(known, 40)}", (
        other or closest(key, known)
    )


def _unknown_choice(wrong: _Wrong, document: Document) -> _Told:
    annotation = _annotation(wrong.path)
    choices = _choices(annotation)
    if not isinstance(wrong.value, str):
        suggestion = f'"{wrong.value}"' if str(wrong.value) in choices else None
        return f"must be {listed(choices)} in quotes, not {_a(wrong.value)}", suggestion
    other = _OTHER_WORDS.get(annotation, {}).get(wrong.value.lower())
    return f"{quoted(wrong.value)} is not possible here; use {listed(choices)}", (
        other or closest(wrong.value, choices)
    )


def _wrong_type(wrong: _Wrong, document: Document) -> _Told:
    annotation = _annotation(wrong.path)
    suggestion = None
    if get_origin(annotation) in (Union, UnionType):
        wanted = "a text, a number, `true` or `false`"
    elif annotation is Text:
        wanted = "a mapping with `en` and `ar`"
        if isinstance(wrong.value, str):
            language = "ar" if re.search("[\u0600-\u06ff]", wrong.value) else "en"
            suggestion = json.dumps({language: wrong.value}, ensure_ascii=False)
    elif annotation is bool:
        wanted = "`true` or `false`"
        suggestion = _YES_NO.get(str(wrong.value).lower())
    elif annotation in (int, float):
        wanted = "a whole number" if annotation is int else "a number"
        if isinstance(wrong.value, str) and re.fullmatch(r"-?[0-9]{1,15}", wrong.value):
            suggestion = wrong.value
    elif annotation is str:
        wanted = "a text (in quotes, if it looks like a number)"
        if literal := document.literals.get(wrong.path):
            suggestion = f'"{literal}"'
    elif get_origin(annotation) is list:
        wanted = "a list such as `[a, b]`"
        if isinstance(wrong.value, str) and re.fullmatch(r"[\w-]{1,40}", wrong.value):
            suggestion = f"[{wrong.value}]"
    else:
        wanted = "a mapping (`key: value`)"
    return f"must be {wanted}, not {_a(wrong.value)}", suggestion


def _a(value: object) -> str:
    if isinstance(value, bool):
        return f"`{json.dumps(value)}`"
    if isinstance(value, int | float):
        return f"the number `{json.dumps(value)}`"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    return "a list" if isinstance(value, list) else "a mapping"


def _bad_name(wrong: _Wrong, document: Document | None = None) -> _Told:
    text = str(wrong.path[-1]) if wrong.at_key else str(wrong.value)
    pattern = str(wrong.context.get("pattern"))
    kind = _NAMES.get(pattern)
    if pattern in _LINES:
        return "a text here may not hold line breaks or control characters", None
    if kind is None:
        return f"{quoted(text)} must be a three-letter currency code such as `SAR`", (
            text.upper() if re.fullmatch("[A-Za-z]{3}", text) else None
        )
    form, convert = kind
    message = f"{quoted(text)} can't be a name here: {form}"
    if any(ord(c) > 127 for c in text):
        message += "; names become code, so put words of other alphabets into `title`"
        return message, None
    suggestion = None
    if len(text) <= 60 and re.fullmatch(r"[A-Za-z0-9 _.-]+", text):
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", text)
        converted = convert(words)
        suggestion = converted if re.fullmatch(pattern, converted) else None
    return message, suggestion


def _length(wrong: _Wrong, document: Document) -> _Told:
    context = wrong.context
    what = quoted(str(wrong.path[-1])) if wrong.at_key else "it"
    if "max_length" in context:
        return f"{what} is too long: at most {context['max_length']} are allowed", None
    if context.get("min_length") == 1:
        return "it is empty", None
    return f"{what} is too short: at least {context.get('min_length')} are needed", None


def _bound(wrong: _Wrong, document: Document) -> _Told:
    if "le" in wrong.context:
        return f"must be at most {wrong.context['le']}, not {_a(wrong.value)}", None
    return f"must be at least {wrong.context.get('ge')}, not {_a(wrong.value)}", None


_RULES = {
    "missing": "key-missing",
    "extra_forbidden": "key-unknown",
    "enum": "value-unknown",
    "literal_error": "value-unknown",
    "string_too_long": "size-exceeded",
    "string_too_short": "size-missing",
    "too_long": "size-exceeded",
    "too_short": "size-missing",
    "less_than_equal": "value-range",
    "greater_than_equal": "value-range",
    "int_from_float": "value-type",
}

_EXPLAIN: dict[str, Callable[[_Wrong, Document], _Told]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "enum": _unknown_choice,
    "literal_error": _unknown_choice,
    "string_pattern_mismatch": _bad_name,
    "string_too_long": _length,
    "string_too_short": _length,
    "too_long": _length,
    "too_short": _length,
    "less_than_equal": _bound,
    "greater_than_equal": _bound,
    "int_from_float": _wrong_type,
}


def _pattern(annotated: Any) -> str:
    return str(get_args(annotated)[1].pattern)


_LINES = {_pattern(Words), _pattern(Prose)}


_NAMES: dict[str, tuple[str, Callable[[list[str]], str]]] = {
    _pattern(Slug): (
        "use lower-case letters, digits and single hyphens, as in `my-clinic`",
        lambda words: "-".join(words).lower(),
    ),
    _pattern(TypeName): (
        "use letters and digits, starting with a capital, as in `OrderItem`",
        lambda words: "".join(word[:1].upper() + word[1:] for word in words),
    ),
    _pattern(MemberName): (
        "use lower-case letters, digits and single underscores, as in `full_name`",
        lambda words: "_".join(words).lower(),
    ),
}
