"""Private temporary directories that are removed even when their maker was killed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

_NAME = re.compile(r"wn-([0-9]+)-\w+")


def scratch_directory(*, parent: str | None = None) -> Path:
    """A new directory for this user alone. Its name holds our pid, so that others can tell when it
    is abandoned. `parent` is by default where the system keeps temporary files."""
    return Path(tempfile.mkdtemp(prefix=f"wn-{os.getpid()}-", dir=parent))


def remove_abandoned() -> None:
    """Remove the scratch directories of this user whose makers are gone."""
    for parent in {tempfile.gettempdir(), "/tmp"}:
        for directory in Path(parent).glob("wn-*-*"):
            match = _NAME.fullmatch(directory.name)
            with contextlib.suppress(OSError):
                mine = directory.lstat().st_uid == os.geteuid()
                if match and mine and not Path("/proc", match[1]).exists():
                    shutil.rmtree(directory)
