"""The manifest of a generated project: what each file was when it was generated, and what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.forge.generate import MANIFEST
from engine.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Entry:
    """`digest` is the SHA-256 of the content; `id` is empty in manifests that had none."""

    digest: str
    id: str = ""


def entries_of(manifest: bytes) -> dict[str, Entry]:
    """The files of a manifest by path, without those that would lie outside of the project.

    Raises `InvalidInput` when it is no manifest, for example after a merge of two branches.
    """
    try:
        parsed: Any = json.loads(manifest)
        listed = parsed["files"].items()
        found = {path: Entry(str(each["sha256"]), str(each.get("id", ""))) for path, each in listed}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{MANIFEST} can't be read.",
            mend="Take one side of it whole, as with `git checkout --theirs`, and generate again.",
        ) from error
    return {path: entry for path, entry in found.items() if _is_plain(path)}


def ids_of(entries: Mapping[str, Entry]) -> dict[str, str]:
    return {path: entry.id for path, entry in entries.items() if entry.id}


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    return not {"", ".", ".."} & set(parts) and ".git" not in parts and "\0" not in path
