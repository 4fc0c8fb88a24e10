"""Python source, formatted by ruff: one call for a whole project.

Imports are sorted and those that a file doesn't use are dropped, so that a template may name all
that any of its variants needs.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ruff import find_ruff_bin  # type: ignore[import-untyped]

from engine.kernel.errors import StepFailed

_SETTINGS = ("--isolated", "--no-cache", "--quiet", "--line-length", "100")
_TIMEOUT_SECONDS = 60


def format_python(files: Mapping[str, str]) -> dict[str, str]:
    """The files, with every `.py` among them formatted; the others are returned as they are.

    Raises `StepFailed` when a file isn't valid Python.
    """
    sources = {path: text for path, text in files.items() if path.endswith(".py")}
    if not sources:
        return dict(files)
    with tempfile.TemporaryDirectory(prefix="webnova-format-") as folder:
        root = Path(folder)
        for path, text in sources.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text.encode())
        _ruff(root, "check", "--fix", "--select", "I,F401,RUF022", "--target-version", "py311")
        _ruff(root, "format", "--target-version", "py311")
        formatted = {path: (root / path).read_bytes().decode() for path in sources}
    return {**files, **formatted}


def _ruff(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        [find_ruff_bin(), *arguments, *_SETTINGS, "."],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise StepFailed(
            "Generated source is not valid Python: "
            + " ".join((done.stdout + done.stderr).split())[:500]
        )
