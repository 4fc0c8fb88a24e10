"""Writing a generated project into a directory without losing what somebody changed there."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.forge.generate import MANIFEST
from engine.kernel.errors import Conflict, InvalidInput
from engine.runtime.workspace import Bundle

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Written:
    """How many files have a new content now, and how many are gone since the last generation."""

    changed: int
    removed: int


def write_project(bundle: Bundle, out: Path, *, force: bool = False) -> Written:
    """Make the generated files of `out` those of `bundle`; other files there stay.

    A file that is neither as it was generated nor as it shall become is somebody's work: then
    nothing is written and `Conflict` lists such files, unless `force` is given. Files of the last
    generation that are no longer generated are removed when nobody changed them.
    """
    before = _last_generation(out)
    changed = {
        path: content for path, content in bundle.files.items() if _differs(out, path, content)
    }
    stale = [path for path in before if path not in bundle.files and _is_file(out, path)]
    if not force:
        _refuse_edited(out, before, [path for path in changed if path != MANIFEST])
    try:
        for path, content in changed.items():
            _replace(_target(out, path), content, executable=path in bundle.executable)
        removed = [path for path in stale if _digest(_target(out, path)) == before[path]]
        for path in removed:
            _target(out, path).unlink()
    except OSError as error:
        raise InvalidInput(
            f"{str(out)!r} can't be written: {error.strerror or error}.",
            mend="Choose a directory that you may write to.",
        ) from error
    return Written(len(changed), len(removed))


def _refuse_edited(out: Path, before: Mapping[str, str], paths: list[str]) -> None:
    edited = [
        path
        for path in paths
        if _is_file(out, path) and _digest(_target(out, path)) != before.get(path)
    ]
    if edited:
        more = f" and {len(edited) - _SHOWN} more" if len(edited) > _SHOWN else ""
        raise Conflict(
            f"These files in {str(out)!r} were not left as they were generated:"
            f" {', '.join(edited[:_SHOWN])}{more}.",
            mend="Choose another directory, or overwrite them with --force.",
            files=edited,
        )


def _last_generation(out: Path) -> dict[str, str]:
    """The SHA-256 of each file as the manifest in `out` has it; empty without one."""
    try:
        manifest: Any = json.loads(_target(out, MANIFEST).read_bytes())
        entries = manifest["files"].items()
        return {str(path): str(entry["sha256"]) for path, entry in entries if _is_plain(path)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{MANIFEST} in {str(out)!r} can't be read.",
            mend="Choose another directory, or remove that file.",
        ) from error


def _is_plain(path: str) -> bool:
    return not path.startswith("/") and ".." not in path.split("/")


def _target(out: Path, path: str) -> Path:
    """Where a generated file goes. Raises `InvalidInput` when a link stands in the way."""
    target = out / path
    for part in (target, *target.parents):
        if part == out:
            break
        if part.is_symlink():
            raise InvalidInput(
                f"{str(part)!r} is a link; generated files are never written through one.",
                mend="Remove the link, or choose another directory.",
            )
    return target


def _is_file(out: Path, path: str) -> bool:
    return _target(out, path).is_file()


def _differs(out: Path, path: str, content: bytes) -> bool:
    return not _is_file(out, path) or _target(out, path).read_bytes() != content


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _replace(target: Path, content: bytes, *, executable: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}")
    try:
        fresh.write_bytes(content)
        fresh.chmod(0o755 if executable else 0o644)
        os.replace(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)
