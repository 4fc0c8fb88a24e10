"""Small files, small functions, few parameters. The list of exceptions only shrinks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "storage", "actors", "serve_apps", "webnova", "benchmarks", "examples")
MAX_FILE, MAX_FUNCTION, MAX_CLASS, MAX_PARAMETERS = 500, 60, 300, 6
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
EXCEPTIONS: set[str] = set()
"""`path::name` of what is larger than the law allows."""

SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def _findings(path: Path) -> Iterator[str]:
    place = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    if text.count("\n") > MAX_FILE:
        yield f"{place}::file has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MAX_FUNCTION:
                yield f"{place}::{node.name} has {lines} lines"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            named = [each for each in arguments if each.arg not in ("self", "cls")]
            # A command line's options and a route's inputs are declared, not passed by hand.
            if len(named) > MAX_PARAMETERS and not node.decorator_list:
                yield f"{place}::{node.name} has {len(named)} parameters"
        elif isinstance(node, ast.ClassDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MAX_CLASS:
                yield f"{place}::{node.name} has {lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_sources_keep_their_shape(path: Path) -> None:
    found = [each for each in _findings(path) if each.partition(" ")[0] not in EXCEPTIONS]
    assert not found
    assert path.stem not in FORBIDDEN_NAMES and path.parent.name not in FORBIDDEN_NAMES


def test_the_exceptions_are_still_needed() -> None:
    found = {each.partition(" ")[0] for path in SOURCES for each in _findings(path)}
    assert found >= EXCEPTIONS


def test_a_room_has_at_most_ten_entries() -> None:
    for room in (ROOT / "engine").iterdir():
        if room.is_dir() and room.name != "__pycache__":
            entries = [each.name for each in room.iterdir() if not each.name.startswith(("_", "."))]
            assert len(entries) <= 10, f"engine/{room.name} has {len(entries)} entries"
