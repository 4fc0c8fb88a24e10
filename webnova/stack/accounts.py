"""The unprivileged account that a service of root runs as."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from engine.kernel.errors import Unavailable

_CANDIDATES = ("postgres", "daemon", "nobody")


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int


def service_account(data: Path) -> Account | None:
    """The account for a service that refuses to run as root; None when we are not root.

    The owner of the service's `data` goes on owning them. Otherwise an account that every Unix
    has is used, so that nothing is added to the machine; `nobody` comes last because sandboxed
    programs may run as it and could then signal the service.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise Unavailable(
        "The machine has no unprivileged account to run the database as.",
        mend="Run WebNova as an ordinary user, or set WEBNOVA_DATABASE_URL.",
    )
