"""Reading a Blueprint: text or data in, a checked Blueprint or every problem at once out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from engine.forge.blueprint.checks import check
from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.problems import Finding, Path, Problem, closest, dotted, pointer
from engine.forge.blueprint.reader import Document, Place, read, read_data
from engine.forge.blueprint.structure import Fit, fit
from engine.kernel.errors import InvalidInput

MOST_PROBLEMS = 50
_MEND = "Correct the places that are listed and try again."


@dataclass(frozen=True, slots=True)
class Loaded:
    """A Blueprint that is well-formed and makes sense, and what its author may want to know."""

    blueprint: Blueprint
    warnings: tuple[Problem, ...] = ()


def load(text: str | bytes, *, filename: str = "blueprint.yaml") -> Loaded:
    """Read one YAML 1.2 or JSON document.

    Raises `InvalidInput` whose `errors` are the first 50 problems in the order of the text, each a
    JSON object of `path`, `line`, `column` (from 1), `message` and `suggestion`; `error_count` says
    how many there are. Raises `TooLarge` beyond one million bytes. Takes time linear in the size.
    """
    document = read(text)
    name = PurePath(filename).name or "blueprint.yaml"
    return _judge(document, _in_text, f"{name} is not a valid Blueprint")


def load_data(data: Any) -> Blueprint:
    """Take over JSON values, with the checks of `load`.

    Raises `InvalidInput` and `TooLarge` as `load` does; paths are JSON pointers and `line` and
    `column` are `None`.
    """
    return _judge(read_data(data), _in_data, "This is not a valid Blueprint").blueprint


_Show = Callable[[Place, Finding], Problem]
_Placed = tuple[Place, Finding]


def _judge(document: Document, show: _Show, title: str) -> Loaded:
    placed = list(document.findings)
    result = Fit()
    if not document.fatal:
        result = fit(document)
        placed += [(document.place(finding), finding) for finding in result.findings]
    warnings: list[_Placed] = []
    if result.blueprint is not None and not result.more:
        doubtful = result.left_out | {_part(path) for path in result.left_out}
        for finding in check(result.blueprint):
            if _stands(finding, document, doubtful):
                kept = placed if finding.severity == "error" else warnings
                kept.append((document.place(finding), _as_written(finding, document)))
    if placed or result.blueprint is None:
        raise _invalid(placed, result.more, show, title)
    warnings.sort(key=_order)
    return Loaded(result.blueprint, tuple(show(*item) for item in warnings[:MOST_PROBLEMS]))


def _stands(finding: Finding, document: Document, doubtful: set[Path]) -> bool:
    """Whether a finding is about the document, not about a part that had to be left out."""
    absent = finding.absent
    if absent is not None and (absent in document.keys or _inside(absent, doubtful)):
        return False
    return not _inside(finding.path, doubtful)


def _part(path: Path) -> Path:
    """The field, relation, access rule, state or transition that `path` lies in, or itself."""
    if path[:1] != ("entities",) or len(path) < 5:
        return path
    return path[:5] if path[2] == "lifecycle" else path[:4]


def _as_written(finding: Finding, document: Document) -> Finding:
    """The suggestion in terms of the text: parts that are left out count, numbers keep zeros."""
    literal = document.literals.get(finding.path)
    suggestion = finding.suggestion
    if literal is not None and suggestion is not None and suggestion.startswith('"'):
        suggestion = f'"{literal}"'
    elif finding.absent is not None and suggestion is None:
        around = finding.absent[:-1]
        names = [str(key[-1]) for key in document.keys if key[:-1] == around]
        suggestion = closest(str(finding.absent[-1]), names)
    return replace(finding, suggestion=suggestion)


def _inside(path: Path, roots: set[Path]) -> bool:
    return any(path[:end] in roots for end in range(len(path) + 1))


def _order(item: _Placed) -> tuple[Place, str]:
    return item[0], item[1].message


def _invalid(placed: list[_Placed], more: int, show: _Show, title: str) -> InvalidInput:
    problems: list[Problem] = []
    for place, finding in sorted(placed, key=_order):
        problem = show(place, finding)
        if problem not in problems[-5:]:
            problems.append(problem)
    count = len(problems) + more
    shown = problems[:MOST_PROBLEMS]
    first = shown[0]
    where = f"line {first.line}, column {first.column}: " if first.line else ""
    where += f"{first.path}: " if first.path else ""
    hint = f" Did you mean {first.suggestion}?" if first.suggestion else ""
    total = "1 problem" if count == 1 else f"{count} problems"
    only = f", the first {len(shown)} are listed" if count > len(shown) else ""
    return InvalidInput(
        f"{title} ({total}{only}): {where}{first.message}.{hint}",
        mend=_MEND,
        errors=[problem.model_dump() for problem in shown],
        error_count=count,
    )


def _in_text(place: Place, finding: Finding) -> Problem:
    return Problem(
        path=dotted(finding.path),
        line=place.line,
        column=place.column,
        message=finding.message,
        suggestion=finding.suggestion,
    )


def _in_data(place: Place, finding: Finding) -> Problem:
    return Problem(
        path=pointer(finding.path), message=finding.message, suggestion=finding.suggestion
    )
