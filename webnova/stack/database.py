"""From an administrator's URL to a database that the application can use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from engine.kernel.secret import Secret
from storage.bootstrap import ROLES, DatabaseUrls, bootstrap_now, urls_for
from storage.connections import POOLER
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


def through_pooler(urls: DatabaseUrls, place: str) -> DatabaseUrls:
    """The same database by way of the pooler in transaction mode at `place` (`host:port`).

    The owner goes on without it: migrations need a session of their own.
    """
    return replace(urls, app=_by_way_of(urls.app, place), worker=_by_way_of(urls.worker, place))


def _by_way_of(url: Secret, place: str) -> Secret:
    parts = urlsplit(url.reveal())
    credentials = parts.netloc.rpartition("@")[0]
    # Options stay: who asks for TLS to the server must not speak plainly to the pooler.
    query = "&".join(filter(None, (parts.query, f"{POOLER}=transaction")))
    return Secret(urlunsplit(parts._replace(netloc=f"{credentials}@{place}", query=query)))
