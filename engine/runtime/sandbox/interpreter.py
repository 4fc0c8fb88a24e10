"""Which directories a Python must be able to read."""

from __future__ import annotations

import os
from pathlib import Path

from engine.kernel.errors import InvalidInput

_SYSTEM = Path("/usr")


def python_paths(python: Path) -> tuple[Path, ...]:
    """Directories to mount read-only for this Python: its environment and the installation behind.

    Those within /usr are left out, since every sandbox has them. Raises `InvalidInput` if there is
    no such program.
    """
    try:
        actual = python.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise InvalidInput(
            "The Python for the sandbox doesn't exist.",
            mend="Pass the path of an installed Python.",
            name=python.name,
        ) from error
    # Each link on the way is a place where Python looks for its installation.
    prefixes: dict[Path, None] = {}
    link = Path(os.path.abspath(python))
    while link.is_symlink():
        prefixes[link.parent.parent] = None
        link = Path(os.path.normpath(link.parent / os.readlink(link)))
    prefixes |= {link.parent.parent: None, actual.parent.parent: None}
    return tuple(
        prefix
        for prefix in prefixes
        if prefix != Path("/") and not prefix.resolve().is_relative_to(_SYSTEM)
    )
