"""Small generated projects for tests, and what people do to them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.forge.generate import MANIFEST
from engine.runtime.workspace import Bundle

Text = str | bytes


def lines(count: int = 9, **other: str) -> str:
    """`line 1` to `line 9`, each on its line; `l3="X"` says something else in the third."""
    return "".join(f"{other.get(f'l{n}', f'line {n}')}\n" for n in range(1, count + 1))


def project(
    files: Mapping[str, Text],
    ids: Mapping[str, str] | None = None,
    executable: frozenset[str] = frozenset(),
) -> Bundle:
    """A generated project of these files. What a file is, is its path unless `ids` says so."""
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in
                files.items()}  # fmt: skip
    entries = {
        path: {
            "sha256": hashlib.sha256(content).hexdigest(),
            "id": (ids or {}).get(path, f"project/{path}"),
        }
        for path, content in contents.items()
    }
    manifest = {"platform": "test", "target": {"name": "t", "version": "1"}, "files": entries}
    return Bundle({**contents, MANIFEST: json.dumps(manifest).encode()}, executable)


def git(root: Path, *arguments: str) -> str:
    """Git as a person uses it there."""
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=root, capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode()


def write(root: Path, files: Mapping[str, Text]) -> None:
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)


def contents(root: Path) -> dict[str, bytes]:
    """Every file and link of a directory but Git's own and the manifest."""
    found = {}
    for folder, inner, names in os.walk(root):
        if ".git" in inner:
            inner.remove(".git")
        for name in [*names, *(each for each in inner if (Path(folder) / each).is_symlink())]:
            place = Path(folder) / name
            path = place.relative_to(root).as_posix()
            if path == MANIFEST:
                continue
            content = os.fsencode(os.readlink(place)) if place.is_symlink() else place.read_bytes()
            found[path] = content
    return found


Deed = Callable[[Path], None]


def edit(path: str, text: Text) -> Deed:
    return lambda root: write(root, {path: text})


def remove(path: str) -> Deed:
    return lambda root: (root / path).unlink()


def move(before: str, after: str, text: Text | None = None) -> Deed:
    """Move a file, and edit it when a text is given."""

    def do(root: Path) -> None:
        (root / after).parent.mkdir(parents=True, exist_ok=True)
        (root / before).rename(root / after)
        if text is not None:
            write(root, {after: text})

    return do


def make_executable(path: str) -> Deed:
    return lambda root: (root / path).chmod(0o755)


def link(path: str, target: str) -> Deed:
    """Put a link where a file or nothing is."""

    def do(root: Path) -> None:
        (root / path).unlink(missing_ok=True)
        (root / path).symlink_to(target)

    return do
