"""What becomes of people's edits when a project is generated again: ours, and Copier beside it.

The situations are those of the tests. A line is lost when somebody wrote it, on either side, and
it is in no file afterwards. Copier is measured when `python -m copier` finds it:
`pip install --target DIR copier` and DIR on the PYTHONPATH. Its template is a repository with two
tags, as its documentation has it, and the edits are committed, which it demands.
"""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.forge.regeneration.regenerate import regenerate
from tests.unit.forge.projects import contents, git, project, write
from tests.unit.forge.regeneration_cases import CASES, Case

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Outcome:
    """Lines that are in no file afterwards, and whether anything told of it."""

    mine: int
    generated: int
    told: bool
    seconds: float


def _lines(files: Files) -> set[bytes]:
    return {line.strip() for content in files.values() for line in content.splitlines()}


def _encoded(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    return {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}


def _outcome(case: Case, mine: Files, after: Files, told: bool, began: float) -> Outcome:
    base, left = _lines(_encoded(case.base)), _lines(after)
    return Outcome(
        mine=len(_lines(mine) - base - left),
        generated=len(_lines(_encoded(case.new)) - base - left),
        told=told,
        seconds=time.perf_counter() - began,
    )


def ours(case: Case, place: Path) -> Outcome:
    root = place / "ours"
    regenerate(root, project(case.base, case.ids))
    for deed in case.deeds:
        deed(root)
    mine = contents(root)
    new = project(case.new, case.new_ids)
    began = time.perf_counter()
    done = regenerate(root, new)
    return _outcome(case, mine, contents(root), bool(done.conflicts), began)


def copier(case: Case, place: Path) -> Outcome | None:
    """None when Copier refuses to update or breaks off: nothing is lost then."""
    template, root = place / "template", place / "theirs"
    template.mkdir()
    git(template, "init", "-q")
    write(template, {"copier.yml": '_min_copier_version: "9"\n_subdirectory: files\n'})
    answers = {"{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers|to_nice_yaml }}\n"}
    for number, files in enumerate((case.base, case.new), 1):
        shutil.rmtree(template / "files", ignore_errors=True)
        write(template, {f"files/{path}": text for path, text in {**answers, **files}.items()})
        git(template, "add", "-A")
        git(template, "commit", "--allow-empty", "-qm", str(number))
        git(template, "tag", f"{number}.0.0")
    if _copier(["copy", "--defaults", "-r", "1.0.0", str(template), str(root)], place).returncode:
        raise SystemExit("Copier does not run here.")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "generated")
    for deed in case.deeds:
        deed(root)
    git(root, "add", "-A")
    git(root, "commit", "--allow-empty", "-qm", "mine")
    mine = contents(root)
    began = time.perf_counter()
    done = _copier(["update", "--defaults", "-r", "2.0.0"], root)
    if done.returncode:
        return None
    after = contents(root)
    marked = any(b"<<<<<<< " in content for content in after.values())
    told = marked or any(path.endswith(".rej") for path in after) or b"onflict" in done.stderr
    own = {path: content for path, content in mine.items() if path != ".copier-answers.yml"}
    return _outcome(case, own, after, told, began)


def _copier(arguments: list[str], place: Path) -> subprocess.CompletedProcess[bytes]:
    who = [f"GIT_{role}_{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    command = ["env", *(f"{name}=somebody" for name in who), sys.executable, "-m", "copier"]
    return subprocess.run([*command, *arguments], cwd=place, capture_output=True, timeout=120)


def _report(name: str, found: Iterable[tuple[Case, Outcome | None]]) -> None:
    done = [(case, each) for case, each in found if each is not None]
    losses = [(case, each) for case, each in done if each.mine]
    silent = [case.name for case, each in losses if not each.told]
    missing = [case.name for case, each in done if each.generated and not each.told]
    middle = statistics.median(each.seconds for _, each in done)
    print(f"{name}: {len(done)} situations, {middle:.2f} s each")
    print(f"  lines of people lost in {len(losses)}, without a word in {len(silent)}")
    for each in silent:
        print(f"    {each}")
    print(f"  generated lines missing without a word in {len(missing)}")
    for each in missing:
        print(f"    {each}")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="webnova-bench-") as folder:
        places = []
        for number, case in enumerate(CASES):
            places.append((case, Path(folder) / str(number)))
            places[-1][1].mkdir()
        _report("WebNova", ((case, ours(case, place)) for case, place in places))
        if importlib.util.find_spec("copier") is None:
            print("Copier is not installed; see the beginning of benchmarks/regeneration.py.")
            return
        results = [(case, copier(case, place)) for case, place in places]
        _report("Copier", results)
        refused = [case.name for case, each in results if each is None]
        print(f"  refused or broke off in {len(refused)}: {'; '.join(refused) or 'none'}")


if __name__ == "__main__":
    main()
