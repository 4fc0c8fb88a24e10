"""Reading a Blueprint: text or data in, a checked Blueprint or every problem at once out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from engine.forge.blueprint.catalogue import RULES
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
    JSON object of `path`, `line`, `column` (from 1), `message`, `suggestion`, `rule` and `mend`;
    `error_count` says how many there are. Raises `TooLarge` beyond one million bytes. Takes time
    linear in the size.
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
                kept.append((document.place(finding), finding))
    if placed or result.blueprint is None:
        problems, count = _told(placed, document, show)
        raise _invalid(problems, count + result.more, title)
    return Loaded(result.blueprint, tuple(_told(warnings, document, show)[0]))


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
    """With its suggestion, in terms of the text: parts left out count, numbers keep their zeros."""
    suggestion = finding.meant()
    literal = document.literals.get(finding.path)
    if literal is not None and suggestion is not None and suggestion.startswith('"'):
        suggestion = f'"{literal}"'
    elif finding.absent is not None and suggestion is None:
        around = document.data
        for part in finding.absent[:-1]:
            around = around.get(part) if isinstance(around, dict) else None
        suggestion = closest(finding.word, around) if isinstance(around, dict) else None
    return replace(finding, suggestion=suggestion)


def _inside(path: Path, roots: set[Path]) -> bool:
    return any(path[:end] in roots for end in range(len(path) + 1))


def _order(item: _Placed) -> tuple[Place, str]:
    return item[0], item[1].message


def _told(placed: list[_Placed], document: Document, show: _Show) -> tuple[list[Problem], int]:
    """The first problems in the order of the text, and how many there are."""
    distinct = {(place, item.path, item.message): item for place, item in placed}
    ordered = sorted(((key[0], item) for key, item in distinct.items()), key=_order)
    shown = [show(place, _as_written(item, document)) for place, item in ordered[:MOST_PROBLEMS]]
    return shown, len(ordered)


def _invalid(shown: list[Problem], count: int, title: str) -> InvalidInput:
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
        rule=finding.rule,
        mend=RULES[finding.rule],
    )


def _in_data(place: Place, finding: Finding) -> Problem:
    return Problem(
        path=pointer(finding.path),
        message=finding.message,
        suggestion=finding.suggestion,
        rule=finding.rule,
        mend=RULES[finding.rule],
    )
