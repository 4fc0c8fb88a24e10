"""What a command prints: text for people, or exactly one JSON value on standard output.

With `--json` standard output holds the result, or `{"error": problem}` when there is none, and
nothing else; commands that follow a stream print one JSON object per line instead. People's text
about errors goes to standard error in both forms.
"""

# ruff: noqa: PLC0415
from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from engine.kernel.errors import WebNovaError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

json_for_all: ContextVar[bool] = ContextVar("json_for_all", default=False)
"""Whether `--json` was given before the command's name."""

tenant_to_act_in: ContextVar[str | None] = ContextVar("tenant_to_act_in", default=None)
"""The tenant that a root caller named with `--tenant`."""

_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
_MOST_PLACES = 20


class Output:
    """Where a command's words go. `as_json` silences everything for people but errors."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """Standard output for people."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(highlight=False, markup=False, soft_wrap=True)
        return self._console

    def value(self, value: BaseModel | Mapping[str, Any] | list[Any]) -> None:
        """Print the result as JSON, when that is asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")

    def record(self, value: BaseModel | Mapping[str, Any]) -> None:
        """Print one element of a stream as a line of JSON, when that is asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
            sys.stdout.flush()

    def say(self, text: str = "", style: str | None = None) -> None:
        """Print a line for people."""
        if not self.as_json:
            self.console.print(text, style=style)

    def facts(self, pairs: Iterable[tuple[str, str | None]]) -> None:
        """Print names and values in two columns; what has no value is left out."""
        shown = [(name, value) for name, value in pairs if value]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.say(f"  {name.ljust(width)}  {value}")

    def table(self, headings: list[str], rows: Iterable[Iterable[str]]) -> None:
        """Print rows in columns. Nothing is cut or folded, so that what is shown can be copied."""
        listed = [list(row) for row in rows]
        if self.as_json or not listed:
            return
        from rich.cells import cell_len

        lines = [headings, *listed]
        widths = [max(cell_len(line[at]) for line in lines) for at in range(len(headings))]
        for number, line in enumerate(lines):
            cells = [
                cell + " " * (width - cell_len(cell))
                for cell, width in zip(line, widths, strict=True)
            ]
            self.say("  ".join(cells).rstrip(), style=None if number else "bold")

    def error(self, error: WebNovaError) -> None:
        """Print what is wrong, where, and how to mend it."""
        if self.as_json:
            self.value({"error": error.problem()})
        lines = [f"Error: {error.detail}"]
        lines += [f"  at {place}" for place in places(error)]
        if error.mend:
            lines.append(f"  → {error.mend}")
        sys.stderr.write("\n".join(lines) + "\n")


def plain(value: Any) -> Any:
    """Models as JSON values."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def places(error: WebNovaError) -> list[str]:
    """The places that an error lists, one line each."""
    errors = error.fields.get("errors")
    if not isinstance(errors, list):
        return []
    listed = [place_line(each) for each in errors if isinstance(each, Mapping)]
    if len(listed) > _MOST_PLACES:
        more = max(int(error.fields.get("error_count", 0)), len(listed)) - _MOST_PLACES
        listed = [*listed[:_MOST_PLACES], f"… and {more} more places"]
    return listed


def place_line(problem: Mapping[str, Any]) -> str:
    """`line 4, column 3, entities.Doctor: message (did you mean `x`?) [rule]`."""
    where = [
        f"{name} {problem[name]}" for name in ("line", "column") if problem.get(name) is not None
    ]
    path = problem.get("path") or ".".join(map(str, problem.get("loc", ())))
    where += [str(path)] if path else []
    message = str(problem.get("message") or problem.get("msg") or "")
    hint = f" (did you mean `{problem['suggestion']}`?)" if problem.get("suggestion") else ""
    told = f"{message}{hint}{f' [{rule}]' if (rule := problem.get('rule')) else ''}"
    return f"{', '.join(where)}: {told}" if where else told


def isolated(text: str) -> str:
    """`text` as one unit of its own direction, so that it can't reorder what stands beside it.

    Only for a terminal: in a pipe the marks would be part of the data.
    """
    right_to_left = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)
    if right_to_left and sys.stdout.isatty():
        return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"
    return text


def seconds(duration: float | None) -> str:
    """A duration for people: `0.42 s`, `12.3 s`, `2 min 5 s`."""
    if duration is None:
        return ""
    if duration < 10:
        return f"{duration:.2f} s"
    if duration < 120:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"
