"""One supervisor for each home."""

from __future__ import annotations

import fcntl
from typing import IO

from webnova.stack.home import Home

OTHER_SUPERVISOR = 3
"""Exit code of a supervisor that found the lock taken."""


def take_lock(home: Home) -> IO[str] | None:
    """The home's supervisor lock, held until the file is closed; None when another holds it.

    The kernel gives the lock back when its holder dies, however that happens.
    """
    file = home.lock_file.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
