"""Whether the constraints and the default of a field fit its type and each other."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from functools import lru_cache
from math import isfinite
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from engine.forge.blueprint.model import Blueprint, DataClass, FieldSpec, FieldType
from engine.forge.blueprint.problems import Finding, Path, dotted, listed, quoted, unknown
from engine.forge.fields import SLUG_PATTERN, bounds_of, default_of, seconds_of
from engine.kernel.errors import InvalidInput

EXACT = 2**53 - 1
"""Largest whole number that a bound can hold exactly."""
LARGEST_INTEGER = 2**63 - 1
MAX_DEFAULT = 1_000
MAX_SIZE = 1_000
"""Largest size of a compiled pattern, in units of one character; `\\w` counts as fifteen."""
MAX_OPEN_REPEATS = 6

_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY})
_TEXTS = frozenset(
    {
        *(FieldType.STRING, FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE, FieldType.URL),
        FieldType.SLUG,
    }
)
_APPLIES: dict[str, frozenset[FieldType]] = {
    "min": _NUMBERS,
    "max": _NUMBERS,
    "min_length": _TEXTS,
    "max_length": _TEXTS,
    "pattern": frozenset({FieldType.STRING, FieldType.TEXT, FieldType.PHONE}),
    "precision": frozenset({FieldType.DECIMAL}),
    "scale": frozenset({FieldType.DECIMAL}),
    "currency": frozenset({FieldType.MONEY}),
    "enum": frozenset({FieldType.ENUM}),
}
_INSTEAD = {
    ("min", _TEXTS): "min_length",
    ("max", _TEXTS): "max_length",
    ("min_length", _NUMBERS): "min",
    ("max_length", _NUMBERS): "max",
}

CURRENCIES = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD
    CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
    GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD
    KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN
    NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
    SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND
    VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905
)
_CURRENCIES = sorted(CURRENCIES)


def constraints_of(kind: FieldType) -> list[str]:
    """The constraints that only some types have, of those that this one has."""
    return [name for name, types in _APPLIES.items() if kind in types]


def check_field(blueprint: Blueprint, path: Path, spec: FieldSpec) -> Iterator[Finding]:
    """Findings for one field; `path` is its place in the Blueprint."""
    broken = False
    for finding in (*_misplaced(path, spec), *_bounds(path, spec), *_names(blueprint, path, spec)):
        broken = broken or finding.severity == "error"
        yield finding
    found = list(_default(blueprint, path, spec)) if spec.default is not None and not broken else []
    yield from found
    if not broken and not found:
        yield from _as_generated(blueprint, path, spec)


def _as_generated(blueprint: Blueprint, path: Path, spec: FieldSpec) -> Iterator[Finding]:
    """What the generator itself would refuse, so that a checked field can always be generated."""
    here = dotted(path)
    allowed = tuple(blueprint.enums[spec.enum].values) if spec.enum else ()
    try:
        default_of(spec, bounds_of(spec, here), allowed, here)
    except InvalidInput as error:
        place = str(error.fields.get("path", here))
        at = (*path, place.rpartition(".")[2]) if place != here else path
        yield Finding(
            at,
            error.detail[:1].lower() + error.detail[1:].rstrip("."),
            rule="constraint-unsatisfiable",
        )


def _misplaced(path: Path, spec: FieldSpec) -> Iterator[Finding]:
    if spec.type is FieldType.JSON:
        for name in ("unique", "default"):
            if spec.unique if name == "unique" else spec.default is not None:
                message = f"`{name}` doesn't apply to type `json`: databases compare it differently"
                yield Finding((*path, name), message, at="key", rule="json-key-misplaced")
        if spec.data_class is DataClass.SECRET:
            message = "a secret is a text; `json` can't be kept secret as a whole"
            yield Finding((*path, "data_class"), message, rule="secret-type")
    for name, types in _APPLIES.items():
        if getattr(spec, name) is not None and spec.type not in types:
            instead = next(
                (to for (old, those), to in _INSTEAD.items() if old == name and spec.type in those),
                None,
            )
            fitting = listed(kind for kind in FieldType if kind in types)
            message = f"`{name}` doesn't apply to type `{spec.type}`, only to {fitting}"
            yield Finding((*path, name), message, instead, at="key", rule="constraint-misplaced")


def _bounds(path: Path, spec: FieldSpec) -> Iterator[Finding]:
    if spec.type in _NUMBERS:
        yield from _number_bounds(path, spec)
    if spec.min_length and spec.max_length and spec.min_length > spec.max_length:
        message = f"`min_length` ({spec.min_length}) is above `max_length` ({spec.max_length})"
        yield Finding((*path, "min_length"), message, rule="bounds-crossed")
    if spec.precision and spec.scale is not None and spec.scale > spec.precision:
        message = f"`scale` ({spec.scale}) is above `precision` ({spec.precision})"
        yield Finding((*path, "scale"), message, rule="scale-exceeds-precision")
    if spec.pattern is not None and spec.type in _APPLIES["pattern"]:
        wrong = pattern_problem(spec.pattern)
        if wrong:
            yield Finding((*path, "pattern"), wrong, rule="pattern-refused")


def _number_bounds(path: Path, spec: FieldSpec) -> Iterator[Finding]:
    for name in ("min", "max"):
        bound = getattr(spec, name)
        if bound is None:
            continue
        if abs(bound) > EXACT:
            yield Finding(
                (*path, name),
                f"`{name}` must lie within ±{EXACT} to be exact",
                rule="bound-inexact",
            )
        elif spec.type is FieldType.INTEGER and bound != int(bound):
            message = f"`{name}` of an integer must be a whole number, not {bound:g}"
            yield Finding((*path, name), message, str(int(bound)), rule="bound-fraction")
        elif spec.precision and abs(bound) >= 10 ** (spec.precision - (spec.scale or 0)):
            message = f"`{name}` does not fit into {spec.precision} digits"
            yield Finding((*path, name), message, rule="bound-digits")
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        message = f"`min` ({spec.min:g}) is above `max` ({spec.max:g}); no value would be valid"
        yield Finding((*path, "min"), message, rule="bounds-crossed")


def _names(blueprint: Blueprint, path: Path, spec: FieldSpec) -> Iterator[Finding]:
    if spec.type is FieldType.ENUM:
        if spec.enum is None:
            message = "a field of type `enum` needs `enum`, the name of the enum"
            yield Finding(
                (*path, "enum"),
                message,
                word=str(path[-1]),
                among=blueprint.enums,
                rule="enum-missing",
            )
        elif spec.enum not in blueprint.enums:
            message = unknown("enum", spec.enum, blueprint.enums)
            yield Finding(
                (*path, "enum"),
                message,
                absent=("enums", spec.enum),
                word=spec.enum,
                among=blueprint.enums,
                rule="enum-unknown",
            )
    if spec.type is FieldType.MONEY:
        if spec.currency is None:
            message = "an amount of money without `currency` can't be told apart from another"
            yield Finding(path, message, severity="warning", rule="currency-missing")
        elif spec.currency not in CURRENCIES:
            message = f"{quoted(spec.currency)} is not a currency of ISO 4217"
            at = (*path, "currency")
            yield Finding(
                at, message, word=spec.currency, among=_CURRENCIES, rule="currency-unknown"
            )
    if spec.unique and spec.type is FieldType.BOOLEAN:
        message = "a unique `boolean` allows two records only"
        yield Finding((*path, "unique"), message, severity="warning", rule="unique-boolean")
    if spec.default is not None and spec.unique:
        message = "`default` on a unique field serves one record only"
        yield Finding((*path, "default"), message, severity="warning", rule="default-unique")
    if spec.default is not None and spec.data_class is DataClass.SECRET:
        message = "a secret can't have a default: it would be written into the code"
        yield Finding((*path, "default"), message, rule="default-secret")


def _default(blueprint: Blueprint, path: Path, spec: FieldSpec) -> Iterator[Finding]:
    at = (*path, "default")
    value = spec.default
    if spec.type is FieldType.ENUM:
        values = blueprint.enums[str(spec.enum)].values
        if value not in values:
            absent = ("enums", str(spec.enum), "values", str(value))
            message = f"{quoted(value)} is not a value of enum `{spec.enum}`; use {listed(values)}"
            yield Finding(
                at,
                message,
                absent=absent,
                word=str(value),
                among=values,
                rule="default-not-in-enum",
            )
        return
    wanted, fits = _DEFAULTS[spec.type]
    if not fits(value):
        suggestion = f'"{value}"' if spec.type in _TEXTS and _is_number(value) else None
        message = f"the default of a field of type `{spec.type}` must be {wanted}"
        yield Finding(at, f"{message}, not {quoted(value)}", suggestion, rule="default-type")
    else:
        wrong = _outside(spec, value)
        if wrong:
            yield Finding(at, f"the default {quoted(value)} {wrong}", rule="default-outside")


def _outside(spec: FieldSpec, value: Any) -> str | None:
    """Which constraint of its own field the value breaks."""
    if spec.type in _NUMBERS:
        if spec.min is not None and value < spec.min:
            return f"is below `min` ({spec.min:g})"
        if spec.max is not None and value > spec.max:
            return f"is above `max` ({spec.max:g})"
        if spec.precision and abs(value) >= 10 ** (spec.precision - (spec.scale or 0)):
            return f"does not fit into {spec.precision} digits"
        if spec.scale is not None and round(value, spec.scale) != value:
            return f"has more than {spec.scale} digits after the point"
    if spec.type in _TEXTS:
        if len(value) < (spec.min_length or 0):
            return f"is shorter than `min_length` ({spec.min_length})"
        if len(value) > (spec.max_length or MAX_DEFAULT):
            return f"is longer than {spec.max_length or MAX_DEFAULT} characters"
        if spec.pattern is not None and not matches(spec.pattern, value):
            return f"does not match the pattern {quoted(spec.pattern)}"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parses(parse: Callable[[str], object]) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if not isinstance(value, str) or len(value) > MAX_DEFAULT:
            return False
        try:
            return parse(value) is not None
        except ValueError:
            return False

    return fits


def _date(value: str) -> date | None:
    return date.fromisoformat(value) if re.fullmatch(r"\d{4}-\d\d-\d\d", value) else None


def _time(value: str) -> time | None:
    return time.fromisoformat(value) if re.fullmatch(r"\d\d:\d\d(:\d\d)?", value) else None


def _instant(value: str) -> datetime | None:
    moment = datetime.fromisoformat(value)
    return moment if moment.utcoffset() is not None and "T" in value else None


def _url(value: str) -> str | None:
    parts = urlsplit(value)
    return parts.hostname if parts.scheme in ("http", "https") and " " not in value else None


_DEFAULTS: dict[FieldType, tuple[str, Callable[[Any], bool]]] = {
    FieldType.STRING: ("a text", lambda value: isinstance(value, str)),
    FieldType.TEXT: ("a text", lambda value: isinstance(value, str)),
    FieldType.INTEGER: (
        "a whole number of at most 64 bits",
        lambda v: isinstance(v, int) and _is_number(v) and abs(v) <= LARGEST_INTEGER,
    ),
    FieldType.DECIMAL: ("a number", lambda v: _is_number(v) and isfinite(v) and abs(v) <= EXACT),
    FieldType.MONEY: ("a number", lambda v: _is_number(v) and isfinite(v) and abs(v) <= EXACT),
    FieldType.BOOLEAN: ("`true` or `false`", lambda value: isinstance(value, bool)),
    FieldType.DATE: ("a date such as `2026-01-31`", _parses(_date)),
    FieldType.TIME: ("a time such as `09:30`", _parses(_time)),
    FieldType.INSTANT: ("a moment with its zone, as `2026-01-31T09:30:00Z`", _parses(_instant)),
    FieldType.UUID: ("a UUID", _parses(lambda v: UUID(v) if len(v) == 36 else None)),
    FieldType.EMAIL: (
        "an email address",
        _parses(lambda v: re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,200}\.[^@\s.]{2,}", v)),
    ),
    FieldType.PHONE: (
        "a phone number such as `+966501234567`",
        _parses(lambda v: re.fullmatch(r"\+?[0-9][0-9 ()-]{4,20}[0-9]", v)),
    ),
    FieldType.URL: ("an address that starts with http:// or https://", _parses(_url)),
    FieldType.SLUG: (
        "lower-case words with hyphens such as `spring-sale`",
        _parses(lambda v: re.fullmatch(SLUG_PATTERN, v)),
    ),
    FieldType.DURATION: (
        "a duration in days, hours, minutes and seconds such as `PT1H30M`",
        _parses(lambda v: seconds_of(v) + 1),
    ),
}


def matches(pattern: str, value: str) -> bool:
    """Whether the whole value matches, in time linear in its length."""
    try:
        _compiled(pattern).validate_python(value)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> SchemaValidator:
    schema = core_schema.str_schema(pattern=f"^(?:{pattern})$", regex_engine="rust-regex")
    return SchemaValidator(schema)


@lru_cache(maxsize=512)
def pattern_problem(pattern: str) -> str | None:
    """Why a pattern can't be used, or `None`.

    Allowed is what means the same in Python, JavaScript and linear-time engines, and what can't
    take exponential time in a backtracking one: no look-around, back reference or flag, and no
    repeated group that holds a repeat or alternatives itself.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        return f"this is not a regular expression: {error.msg}{where}"
    except (OverflowError, RecursionError, Warning) as error:
        return f"this is not a regular expression: {error}"
    scanned = _Scan(pattern).problem()
    if scanned:
        return scanned
    try:
        _compiled(pattern)
    except SchemaError:
        return "this regular expression uses a feature that is not supported everywhere"
    return None


_TOKEN = re.compile(
    r"(?P<escape>\\.)|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\((?:\?:)?)|(?P<close>\))"
    r"|(?P<repeat>(?:[*+?]|\{[0-9]*(?:,[0-9]*)?\})\??)|(?P<bar>\|)|(?P<other>.)",
    re.DOTALL,
)


_WORD = re.compile(r"\\[wW]")
_CLASS = re.compile(r"\\[dDsS]")


class _Group:
    """What a group, or the whole pattern, has so far: repeats that vary, alternatives, size."""

    def __init__(self) -> None:
        self.varies = False
        self.choice = False
        self.size = 0


class _Scan:
    """One pass over the tokens of a pattern that compiles."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.groups = [_Group()]
        self.last: _Group | None = None
        self.open_repeats = 0
        self.weight = 1

    def problem(self) -> str | None:
        if re.search(r"\{,[0-9]*\}", self.pattern):
            return "write `{0,…}` for a repeat without a lower limit"
        previous = ""
        for token in _TOKEN.finditer(self.pattern):
            kind, text = str(token.lastgroup), token.group()
            wrong = self._take(kind, text, previous)
            if wrong:
                return wrong
            previous = kind
        if self.groups[0].size > MAX_SIZE:
            return "this regular expression is too large; limit the length with `max_length`"
        if self.open_repeats > MAX_OPEN_REPEATS:
            return f"this regular expression has more than {MAX_OPEN_REPEATS} open repeats"
        return None

    def _take(self, kind: str, text: str, previous: str) -> str | None:
        if kind == "escape" and (text[1].isdigit() or text[1] in "AZzBGpP"):
            return f"{quoted(text)} is not supported in a regular expression here"
        if kind == "set" and re.search(r"\[|&&|--|~~|\|\|", re.sub(r"\\.", "", text[1:])):
            return "a set of characters may not hold another; escape `[` as `\\[`"
        if kind == "open":
            self.groups.append(_Group())
        elif kind == "close":
            self._close()
        elif kind == "bar":
            self.groups[-1].choice = True
        elif kind == "repeat":
            return self._repeat(text, previous)
        else:
            self.last = None
            self.weight = 1 + 14 * len(_WORD.findall(text)) + len(_CLASS.findall(text))
            self.groups[-1].size += self.weight
        return None

    def _close(self) -> None:
        self.last = self.groups.pop()
        outer = self.groups[-1]
        outer.varies = outer.varies or self.last.varies
        outer.choice = outer.choice or self.last.choice
        outer.size += self.last.size

    def _repeat(self, text: str, previous: str) -> str | None:
        if previous == "open" and text[0] == "?":
            return "look-around, flags and named groups are not supported in a regular expression"
        if previous == "repeat":
            return "a repeat may not follow a repeat"
        least, most = _times(text)
        group = self.last if previous == "close" else None
        outer = self.groups[-1]
        if group is not None and (most is None or most > 1):
            if group.varies or (group.choice and most != least):
                return "a repeated group may not hold a repeat or alternatives: it could take ages"
            outer.size += group.size * ((most or least or 1) - 1)
        elif most is not None:
            outer.size += self.weight * max(most - 1, 0)
        outer.varies = outer.varies or most != least
        self.open_repeats += most is None
        return None


def _times(text: str) -> tuple[int, int | None]:
    """How often: the least and the most, `None` for no limit."""
    if text[0] != "{":
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[text[0]]
    least, comma, most = text.rstrip("?").strip("{}").partition(",")
    low = int(least or 0)
    return low, (int(most) if most else None) if comma else low
