"""Roles, database and extensions, made once by an administrator before the migrations run.

Four roles share the work. The owner owns the schema and runs migrations. The application and
the worker log in for daily work, and the eraser removes deleted tenants; they own nothing, are no
superusers and can't bypass row-level security. Everything here is idempotent and works as well for
an administrator who is no superuser but may create roles (managed Postgres 16 and later).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

from engine.kernel.errors import InvalidInput, Unavailable
from engine.kernel.secret import Secret

OWNER = "webnova_owner"
APP = "webnova_app"
WORKER = "webnova_worker"
ERASER = "webnova_eraser"
ROLES = (OWNER, APP, WORKER, ERASER)
DATABASE = "webnova"
EXTENSIONS = ("vector", "pg_trgm")
TRANSACTION_TIMEOUT_SINCE = 170_000
MINIMUM_VERSION = 160000

_ADVISORY_KEY = 0x57454E4F5641  # so that two starters take turns
_NEUTRAL = ("", "postgres", "template1", "defaultdb")


@dataclass(frozen=True)
class DatabaseUrls:
    """`postgresql://…` of one database for its roles."""

    owner: Secret
    app: Secret
    worker: Secret
    eraser: Secret


def database_url(admin_url: str, *, user: str, password: str, database: str) -> Secret:
    """`admin_url` with other credentials and another database; host, port and options stay."""
    parts = urlsplit(admin_url)
    host = parts.netloc.rpartition("@")[2]
    location = f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"
    return Secret(urlunsplit(("postgresql", location, f"/{quote(database)}", parts.query, "")))


def scram_verifier(password: str, *, salt: bytes | None = None, iterations: int = 4096) -> str:
    """What Postgres stores for an ASCII password (RFC 5802, SHA-256 per RFC 7677).

    Sending this instead of the password keeps it out of the server's logs and activity view.
    """
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    client = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode("ascii") for part in (salt, client, server)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def target_database(admin_url: str, database: str | None = None) -> str:
    """`database`, else the one that `admin_url` names, else `webnova`.

    A URL that names only the server's default database does not choose that one.
    Raises `InvalidInput` for a name that would need quoting everywhere.
    """
    named = unquote(urlsplit(admin_url).path.lstrip("/"))
    target = database or (DATABASE if named in _NEUTRAL else named)
    if not target.replace("_", "").replace("-", "").isalnum() or len(target) > 63:
        raise InvalidInput("The database's name may hold letters, digits, - and _ only.")
    return target


def urls_for(
    admin_url: str, passwords: Mapping[str, Secret], *, database: str | None = None
) -> DatabaseUrls:
    """The URLs of the roles; nothing is connected or checked."""
    target = target_database(admin_url, database)
    urls = {
        role: database_url(admin_url, user=role, password=passwords[role].reveal(), database=target)
        for role in ROLES
    }
    return DatabaseUrls(owner=urls[OWNER], app=urls[APP], worker=urls[WORKER], eraser=urls[ERASER])


async def bootstrap_database(
    admin_url: str, passwords: Mapping[str, Secret], *, database: str | None = None
) -> DatabaseUrls:
    """Make or complete roles, database, extensions and grants; returns the URLs.

    `passwords` holds one ASCII password for each name in `ROLES`. `database` defaults to the one
    that `admin_url` names, or `webnova` when it names only the server's default database.
    Raises `Unavailable` when the server can't be reached, is too old or lacks an extension.
    """
    target = target_database(admin_url, database)
    connection = await _connect(admin_url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_KEY)
        version = await _require_version(connection)
        await _ensure_roles(connection, admin_url, passwords, target)
        await _bound_transactions(connection, version)
        await _ensure_database(connection, target)
        await _prepare_database(admin_url, target)
    finally:
        await connection.close()
    return urls_for(admin_url, passwords, database=target)


async def _connect(url: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(url, timeout=10)
    except asyncpg.InvalidCatalogNameError as error:
        raise Unavailable(
            "The server has no database of the name in the address.",
            mend="Create it, or leave the name out: then a database `webnova` is made.",
        ) from error
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise Unavailable(
            f"The database can't be reached: {type(error).__name__}.",
            mend="Check WEBNOVA_DATABASE_URL: host, port, user, password and database.",
        ) from error


async def _require_version(connection: asyncpg.Connection) -> int:
    version = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    if version < MINIMUM_VERSION:
        raise Unavailable(
            f"Postgres {version // 10000} is too old.", mend="Use Postgres 16 or later."
        )
    return version


async def _ensure_roles(
    connection: asyncpg.Connection, admin_url: str, passwords: Mapping[str, Secret], database: str
) -> None:
    existing = {
        row["rolname"]
        for row in await connection.fetch(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY($1::text[])", list(ROLES)
        )
    }
    for role in ROLES:
        password = passwords[role].reveal()
        if role not in existing:
            await connection.execute(
                f"CREATE ROLE {role} LOGIN NOCREATEDB NOCREATEROLE "
                f"PASSWORD '{scram_verifier(password)}'"
            )
        elif not await _can_log_in(admin_url, role, password):
            await connection.execute(f"ALTER ROLE {role} PASSWORD '{scram_verifier(password)}'")
        await connection.execute(f"ALTER ROLE {role} SET timezone = 'UTC'")
    # An administrator who is no superuser may give objects only to roles that it can become.
    await connection.execute(f"GRANT {OWNER} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")


async def _bound_transactions(connection: asyncpg.Connection, version: int) -> None:
    """What a connection sets for itself where no pooler stands in between.

    One open writer holds all readers of events up, so none may stay open for long.
    """
    bounds = {
        "search_path": "webnova",
        "statement_timeout": "30s",
        "idle_in_transaction_session_timeout": "60s",
    }
    if version >= TRANSACTION_TIMEOUT_SINCE:
        bounds["transaction_timeout"] = "120s"
    for role in (APP, WORKER, ERASER):
        for name, longest in bounds.items():
            await connection.execute(f"ALTER ROLE {role} SET {name} = '{longest}'")


async def _can_log_in(admin_url: str, role: str, password: str) -> bool:
    database = unquote(urlsplit(admin_url).path.lstrip("/")) or "postgres"
    url = database_url(admin_url, user=role, password=password, database=database)
    try:
        connection = await asyncpg.connect(url.reveal(), timeout=10)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    except asyncpg.PostgresError:
        return True  # the password was taken; only this database is closed to the role
    await connection.close()
    return True


async def _ensure_database(connection: asyncpg.Connection, database: str) -> None:
    known = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database)
    if not known:
        await connection.execute(
            f"CREATE DATABASE \"{database}\" OWNER {OWNER} ENCODING 'UTF8' TEMPLATE template0"
        )
    await connection.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
    await connection.execute(
        f'GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "{database}" TO {OWNER}'
    )
    await connection.execute(f'GRANT CONNECT ON DATABASE "{database}" TO {APP}, {WORKER}, {ERASER}')


async def _prepare_database(admin_url: str, database: str) -> None:
    parts = urlsplit(admin_url)
    connection = await _connect(urlunsplit(parts._replace(path=f"/{quote(database)}")))
    try:
        for extension in EXTENSIONS:
            try:
                await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
            except asyncpg.PostgresError as error:
                raise Unavailable(
                    f"The database lacks the extension {extension}.",
                    mend=f"Install {extension} on the server, or let an administrator run "
                    f"CREATE EXTENSION {extension} in the database {database}.",
                ) from error
        await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await connection.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {OWNER}")
        await connection.execute(f"GRANT USAGE ON SCHEMA public TO {APP}, {WORKER}, {ERASER}")
    finally:
        await connection.close()


def bootstrap_now(
    admin_url: str, passwords: Mapping[str, Secret], *, database: str | None = None
) -> DatabaseUrls:
    """`bootstrap_database` for callers without an event loop."""
    return asyncio.run(bootstrap_database(admin_url, passwords, database=database))
