"""From an administrator's URL to a database that the application can use."""

from __future__ import annotations

from pathlib import Path

from engine.kernel.secret import Secret
from storage.bootstrap import ROLES, DatabaseUrls, bootstrap_now, urls_for
from storage.migrate import upgrade
from webnova.stack.home import keep_secret


def role_passwords(secrets_dir: Path) -> dict[str, Secret]:
    """The roles' passwords, made at the first call."""
    return {role: keep_secret(secrets_dir / role) for role in ROLES}


def role_urls(admin_url: Secret, secrets_dir: Path, *, database: str | None = None) -> DatabaseUrls:
    """The URLs that `prepare_database` will make usable; nothing is connected."""
    return urls_for(admin_url.reveal(), role_passwords(secrets_dir), database=database)


def prepare_database(
    admin_url: Secret, secrets_dir: Path, *, database: str | None = None
) -> DatabaseUrls:
    """Roles, database, extensions and the newest schema; idempotent.

    The roles' passwords are kept in `secrets_dir`. Raises `Unavailable` when the server can't be
    used.
    """
    passwords = role_passwords(secrets_dir)
    urls = bootstrap_now(admin_url.reveal(), passwords, database=database)
    upgrade(urls.owner.reveal())
    return urls
