"""Whatever both sides do, every line that either wrote is somewhere in the result."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.forge.regeneration.files import EXECUTABLE, LINK, PLAIN, File, GeneratedState
from engine.forge.regeneration.git import Git
from engine.forge.regeneration.merging import Plan, merge, pairs
from engine.forge.regeneration.outcome import ConflictKind
from engine.forge.regeneration.scratch import Scratch

PATHS = ("a", "b", "c", "d/a", "d/b", "d", "e/f/g", "e/f")
IDS = ("1", "2", "3", "4", "5")


@dataclass(frozen=True)
class InMemory:
    files: Mapping[str, File]

    @property
    def paths(self) -> Collection[str]:
        return self.files.keys()

    def read(self, path: str) -> File:
        return self.files[path]


def _state(files: Mapping[str, File], ids: Mapping[str, str]) -> GeneratedState:
    return GeneratedState(dict(files), {path: file.digest for path, file in files.items()}, ids)


def _apart(paths: Collection[str]) -> bool:
    """Whether no path is a directory of another."""
    return not any(other.startswith(f"{path}/") for path in paths for other in paths)


@st.composite
def _lines(draw: st.DrawFn, known: list[bytes], author: str, counter: list[int]) -> list[bytes]:
    """Lines of a file after an author took some out, put new ones in and changed others."""
    result: list[bytes] = []
    for line in known:
        deed = draw(st.sampled_from("kkkkkkdri"))
        if deed in "ri":
            counter[0] += 1
            result.append(f"{author} {counter[0]}\n".encode())
        if deed in "ki":
            result.append(line)
    return result


@st.composite
def _file(draw: st.DrawFn, known: File | None, author: str, counter: list[int]) -> File:
    kind = draw(st.sampled_from(["text"] * 8 + ["binary", "link", "windows", "program", "new"]))
    counter[0] += 1
    if kind in ("binary", "link") and author != "base":
        if kind == "link" and author == "mine":
            return File(f"mine {counter[0]}".encode(), LINK)
        return File(f"\0{author} {counter[0]}\n".encode())
    if known is None or kind == "new" or not known.is_regular:
        lines = [f"{author} {counter[0]}.{n}\n".encode() for n in range(draw(st.integers(0, 8)))]
    else:
        lines = draw(_lines(known.content.splitlines(keepends=True), author, counter))
    text = b"".join(lines)
    if kind == "windows" and author == "mine":
        text = text.replace(b"\n", b"\r\n")
    return File(text, EXECUTABLE if kind == "program" else PLAIN)


@st.composite
def situations(draw: st.DrawFn) -> tuple[GeneratedState, dict[str, File], GeneratedState]:
    counter = [0]
    places = draw(st.lists(st.sampled_from(PATHS), unique=True, max_size=5).filter(_apart))
    base = {path: draw(_file(None, "base", counter)) for path in places}
    ids = dict(zip(places, IDS, strict=False))

    new_places = draw(st.lists(st.sampled_from(PATHS), unique=True, max_size=5).filter(_apart))
    new_ids = dict(zip(new_places, draw(st.permutations(IDS)), strict=False))
    at = {id: path for path, id in ids.items()}
    new = {}
    for path, id in new_ids.items():
        before = base.get(at.get(id, ""))
        keep = before is not None and draw(st.booleans())
        new[path] = before if keep and before else draw(_file(before, "generated", counter))

    ours: dict[str, File] = {}
    for path, file in base.items():
        match draw(st.sampled_from("kkkeeedm")):
            case "k":
                ours[path] = file
            case "e":
                ours[path] = draw(_file(file, "mine", counter))
            case "m":
                ours[f"moved/{path}"] = draw(st.just(file) | _file(file, "mine", counter))
            case _:
                pass
    for path in draw(st.lists(st.sampled_from([*PATHS, "a.generated", "own"]), max_size=3)):
        if path not in ours and _apart([*ours, path]):
            ours[path] = draw(_file(None, "mine", counter))
    return _state(base, ids), ours, _state(new, new_ids)


def _after(ours: Mapping[str, File], plan: Plan) -> dict[str, File]:
    left = {path: file for path, file in ours.items() if path not in plan.deletes}
    return {**left, **plan.writes}


def _written(files: Mapping[str, Any], author: str) -> set[bytes]:
    found: set[bytes] = set()
    for file in files.values():
        for line in file.content.splitlines():
            if author.encode() in line:
                found.add(line.strip(b"\0"))
    return found


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    place = tmp_path_factory.mktemp("scratch")
    return Scratch(Git.find(place), Path(tempfile.mkdtemp(dir=place)))


@given(situation=situations())
@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_line_of_either_side_is_lost(
    situation: tuple[GeneratedState, dict[str, File], GeneratedState], scratch: Scratch
) -> None:
    base, ours, new = situation
    work = InMemory(ours)
    same = pairs(base, new, {})
    plan = merge(base, work, new, same, (scratch.moves(base, work, {}), scratch))
    after = _after(ours, plan)

    assert _written(ours, "mine") <= _written(after, "mine")
    written_anew = _written(new.files, "generated") - _written(base.files, "generated")
    assert written_anew <= _written(after, "generated")
    assert _apart(after.keys()) and not plan.deletes & plan.writes.keys()

    for path in ours.keys() - base.files.keys() - new.files.keys():
        if not any(move.after == path for move in plan.moved):
            assert after.get(path) == ours[path]
    marked = {each.path for each in plan.conflicts if each.marker is not None}
    for path, file in after.items():
        assert (b"<<<<<<< yours" in file.content) == (path in marked)
    quiet = {ConflictKind.CONTENT, ConflictKind.ADDED, ConflictKind.REMOVED}
    for each in plan.conflicts:
        assert each.generated in after or each.kind in quiet
        assert each.generated is None or after[each.generated] in new.files.values()


@given(situation=situations())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_was_generated_once_changes_nothing_when_it_is_generated_again(
    situation: tuple[GeneratedState, dict[str, File], GeneratedState], scratch: Scratch
) -> None:
    base, ours, new = situation
    work = InMemory(ours)
    first = merge(base, work, new, pairs(base, new, {}), (scratch.moves(base, work, {}), scratch))
    again = InMemory(_after(ours, first))
    second = merge(new, again, new, pairs(new, new, {}), (scratch.moves(new, again, {}), scratch))
    assert not second.writes and not second.deletes and not second.conflicts
