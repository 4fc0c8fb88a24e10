"""The functions of the language, as one table; the reference page is written from it.

The checker knows how to type each, and the evaluator and each printer how to compute it: a test
holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.forge.expressions import syntax, types

LARGEST_ROUNDING = 18
"""Digits after the point that `round` can keep."""

QUOTIENT_SCALE = 6
"""Digits after the point of a quotient, or as many as its dividend has if these are more."""

LARGEST_PATH = 4
"""Names in a dotted path: three relations and a field."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function: how many arguments it takes (`most` None for any number) and what it gives."""

    name: str
    usage: str
    gives: str
    least: int
    most: int | None
    meaning: str
    example: str


_ROWS = (
    Function("today", "today()", "date", 0, 0,
             "the day in UTC at which the evaluation began", "due_on >= today()"),
    Function("now", "now()", "instant", 0, 0,
             "the moment at which the evaluation began; the same wherever it is asked for",
             "created_at < now()"),
    Function("length", "length(text)", "integer", 1, 1,
             "how many Unicode characters (code points) the text has", "length(code) = 8"),
    Function("lower", "lower(text)", "text", 1, 1,
             "the text with A to Z as a to z; other letters stay as they are",
             "lower(code) = 'vip'"),
    Function("upper", "upper(text)", "text", 1, 1,
             "the text with a to z as A to Z; other letters stay as they are",
             "upper(code) = 'VIP'"),
    Function("trim", "trim(text)", "text", 1, 1,
             "the text without the spaces (U+0020) at its ends", "trim(name) != ''"),
    Function("contains", "contains(text, part)", "boolean", 2, 2,
             "whether `part` occurs in the text, letter by letter; the empty text always does",
             "contains(email, '@')"),
    Function("starts_with", "starts_with(text, part)", "boolean", 2, 2,
             "whether the text begins with `part`", "starts_with(phone, '+966')"),
    Function("concat", "concat(text, text, …)", "text", 2, None,
             "the texts one after the other", "concat(first_name, ' ', last_name) != ' '"),
    Function("coalesce", "coalesce(value, other, …)", "the type of its arguments", 2, None,
             "the first that is not null", "coalesce(discount, 0) < 10"),
    Function("if", "if(condition, then, else)", "the type of `then` and `else`", 3, 3,
             "`then` where the condition holds, otherwise `else`", "if(paid, 0, total) > 100"),
    Function("round", "round(number, digits)", "number", 2, 2,
             "the number rounded to so many digits after the point; half goes away from zero."
             f" `digits` is written out, 0 to {LARGEST_ROUNDING}",
             "round(price * 0.15, 2) < 100"),
    Function("abs", "abs(number)", "number", 1, 1, "the number without its sign",
             "abs(balance) < 100"),
    Function("min", "min(value, value, …)", "the type of its arguments", 2, None,
             "the smallest of numbers, or the earliest of dates, times or instants",
             "min(price, total) > 0"),
    Function("max", "max(value, value, …)", "the type of its arguments", 2, None,
             "the largest of numbers, or the latest of dates, times or instants",
             "max(price, total) > 0"),
    Function("date", "date(instant)", "date", 1, 1, "the day of a moment, in UTC",
             "date(created_at) = today()"),
    Function("year", "year(date)", "integer", 1, 1, "the year of a date, 1 to 9999",
             "year(due_on) = 2026"),
    Function("days_between", "days_between(date, date)", "integer", 2, 2,
             "how many days lie from the first to the second; negative when it is earlier",
             "days_between(starts_on, due_on) <= 30"),
    Function("add_days", "add_days(date, integer)", "date", 2, 2,
             "the date so many days later; never before 0001-01-01 or after 9999-12-31",
             "due_on <= add_days(today(), 14)"),
    Function("count", "count(relation)", "integer", 1, 1,
             "how many records a to-many relation leads to; needs a query", "count(lines) > 0"),
    Function("sum", "sum(relation.field)", "number", 1, 1,
             "the sum of a numeric field over a to-many relation, 0 without records; null fields"
             " count nothing; needs a query", "sum(lines.amount) = total"),
)  # fmt: skip

FUNCTIONS = {each.name: each for each in _ROWS}
AGGREGATES = ("count", "sum")

OTHER_FUNCTIONS = {
    "len": "length", "size": "length", "strlen": "length", "char_length": "length",
    "lowercase": "lower", "uppercase": "upper", "strip": "trim", "includes": "contains",
    "startswith": "starts_with", "concatenate": "concat", "ifnull": "coalesce",
    "nvl": "coalesce", "iif": "if", "case": "if", "current_date": "today",
    "current_timestamp": "now", "least": "min", "greatest": "max", "total": "sum",
    "datediff": "days_between", "dateadd": "add_days",
}  # fmt: skip
"""What functions are called elsewhere."""

OPERATORS = (
    ("`or`", "boolean, boolean", "boolean", "at least one holds"),
    ("`and`", "boolean, boolean", "boolean", "both hold"),
    ("`not`", "boolean", "boolean", "the opposite"),
    ("`=` `!=`", "two of one type, either may be null", "boolean",
     "the same value or not; null equals null and nothing else"),
    ("`<` `<=` `>` `>=`", "two numbers, dates, times or instants", "boolean",
     "the order of numbers and of time; texts have none"),
    ("`in […]`", "a value that may be null, a list of literals", "boolean",
     "whether the list holds the value; it never holds null"),
    ("`is null` `is not null`", "a value that may be null", "boolean", "whether it is missing"),
    ("`+` `-`", "two numbers; two amounts of one currency", "number", "exact"),
    ("`*`", "two numbers; an amount and a number", "number", "exact"),
    ("`/`", "two numbers; an amount and a number; two amounts of one currency", "number",
     f"rounded to {QUOTIENT_SCALE} digits after the point (or as many as the dividend has, if"
     " more), half away from zero; null when the divisor is 0"),
    ("`-`", "number", "number", "with the other sign"),
)  # fmt: skip

_LITERALS = (
    ("integer", "`42`", "of 64 bits in a field"),
    ("decimal", "`0.15`", "exact; never a binary fraction"),
    ("text", "`'a'` or `\"a\"`", "a quote inside is doubled: `'it''s'`"),
    ("boolean", "`true`, `false`", ""),
    ("date, time, instant, uuid", "`'2026-01-31'`, `'09:30'`, `'2026-01-31T09:30:00Z'`",
     "a quoted literal beside one takes its type"),
    ("enum", "`'open'`", "a quoted literal beside one; it must be a member"),
    ("money", "`100`", "a number beside an amount takes its currency"),
)  # fmt: skip

_WORDS = """\
# Expressions

A Blueprint says conditions and computed values in a small language:
`total > 0 and due_on >= today()`. An expression has one meaning, whatever the platform is
generated for: Python, TypeScript, and the `WHERE` of SQLite, PostgreSQL and MariaDB.

- **Nothing fails while it is evaluated.** What could fail is refused when the Blueprint is read:
  numbers that may need more than {digits} digits ({scale} after the point), amounts of different
  currencies, values that may be null where one is needed.
- **Null is never guessed at.** `=`, `!=`, `in`, `is null` and `coalesce` take values that may be
  null; the first four answer `true` or `false`. Everywhere else a value that may be null is guarded
  first: `discount is not null and discount > 5`, or `coalesce(discount, 0) > 5`. The guard is
  understood in `and`, `or`, `not` and `if`.
- **Limits**: {length} characters, {nodes} parts, {nesting} levels of nesting; a path has {path}
  names at most.

## Names

| written | means |
|---|---|
| `total` | a field of the record |
| `customer` | the id of the record that a to-one relation leads to |
| `customer.city.name` | a field over to-one relations; null when one of them leads nowhere |
| `input.reason` | what the caller of an operation sends |
| `user.id`, `user.role` | the signed-in person |

"""


def page() -> str:
    """The reference of the language, in Markdown."""
    text = _WORDS.format(
        digits=types.MAX_DIGITS,
        scale=types.MAX_SCALE,
        length=syntax.MAX_LENGTH,
        nodes=syntax.MAX_NODES,
        nesting=syntax.MAX_NESTING,
        path=LARGEST_PATH,
    )
    literals = _table(("type", "written", ""), _LITERALS)
    operators = _table(("operator", "takes", "gives", "meaning"), OPERATORS)
    rows = [(f"`{f.usage}`", f.gives, f.meaning, f"`{f.example}`") for f in _ROWS]
    functions = _table(("function", "gives", "meaning", "example"), rows)
    return (
        f"{text}## Literals\n\n{literals}\n## Operators\n\nThe loosest first. Comparisons don't"
        f" chain.\n\n{operators}\n## Functions\n\nArguments must not be null, except those of"
        f" `coalesce` and the results of `if`.\n\n{functions}"
    )


def _table(head: tuple[str, ...], rows: object) -> str:
    assert isinstance(rows, list | tuple)
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("|  |", "| |")
