"""What a live database declares, read from its catalogue in a read-only transaction.

Only a person at a command line names the database. A server must never be told an address by a
tenant: it could be led to whatever it reaches itself.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.engine.interfaces import ReflectedForeignKeyConstraint
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SAWarning, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from engine.kernel.errors import InvalidInput, NotFound, Unavailable

_DIALECTS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "sqlite": "sqlite",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
_KNOWN = "Write postgresql://user@host/name, mysql://user@host/name or sqlite:///file.db."
_TIMEOUT_S = 10
MOST_TABLES = 1_000
_TYPES = {
    "postgresql": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = :schema AND a.attnum > 0 AND NOT a.attisdropped
          AND c.relkind IN ('r', 'p')
    """,
    "mysql": """
        SELECT table_name, column_name, column_type
        FROM information_schema.columns WHERE table_schema = :schema
    """,
    "sqlite": """
        SELECT m.name, p.name, p.type
        FROM sqlite_master m JOIN pragma_table_xinfo(m.name) p WHERE m.type = 'table'
    """,
}


async def reflect(address: str, schema: str | None = None) -> dict[str, Any]:
    """The tables of a database as JSON values.

    `dialect` is `postgres`, `mysql` or `sqlite`; `tables` have `name`, `comment`, `columns` (each
    with `name`, `type` in the words of the dialect, `nullable`, `default`, `comment`, `identity`),
    `primary_key`, `uniques`, `foreign_keys`, `checks` and `indexes`; `enums` and `views` are those
    of the schema (`public`, or the database itself). Nothing is written.

    Raises `InvalidInput` for an address that can't be one or a database of more than a thousand
    tables, `NotFound` for a file that isn't there and `Unavailable` when the database can't be
    reached. No error holds the password.
    """
    url = _url(address)
    if url.get_backend_name() == "sqlite":
        return await asyncio.to_thread(_with_engine, _sqlite(url), schema)
    if url.get_backend_name() == "mysql":
        return await asyncio.to_thread(_with_engine, _mysql(url), schema)
    engine = create_async_engine(url, connect_args={"timeout": _TIMEOUT_S}, pool_pre_ping=False)
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SET TRANSACTION READ ONLY"))
            return await connection.run_sync(_describe, schema)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise _unreachable(error) from None
    finally:
        await engine.dispose()


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise InvalidInput("That is no address of a database.", mend=_KNOWN) from error
    driver = _DIALECTS.get(url.drivername.partition("+")[0])
    if driver is None:
        raise InvalidInput(f"{url.drivername[:40]!r} can't be read.", mend=_KNOWN)
    return url.set(drivername=driver)


def _sqlite(url: URL) -> Callable[[], sa.Engine]:
    def open_engine() -> sa.Engine:
        path = url.database or ""
        address = f"sqlite:///file:{quote(path)}?mode=ro&uri=true"
        engine = sa.create_engine(address, connect_args={"timeout": _TIMEOUT_S})
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1 FROM sqlite_master LIMIT 1"))
        except SQLAlchemyError as error:
            engine.dispose()
            if "unable to open" in str(error):
                raise NotFound("There is no such SQLite file.", mend="Check the path.") from None
            raise InvalidInput("This is no SQLite database.", mend="Check the path.") from None
        return engine

    return open_engine


def _mysql(url: URL) -> Callable[[], sa.Engine]:
    def open_engine() -> sa.Engine:
        try:
            return sa.create_engine(url, connect_args={"connect_timeout": _TIMEOUT_S})
        except (NoSuchModuleError, ImportError) as error:
            raise Unavailable(
                "The driver for MySQL is not installed.", mend="Install PyMySQL."
            ) from error

    return open_engine


def _with_engine(open_engine: Callable[[], sa.Engine], schema: str | None) -> dict[str, Any]:
    engine = open_engine()
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "mysql":
                connection.execute(sa.text("SET TRANSACTION READ ONLY"))
            return _describe(connection, schema)
    except (SQLAlchemyError, OSError) as error:
        raise _unreachable(error) from None
    finally:
        engine.dispose()


def _unreachable(error: Exception) -> Unavailable:
    """Without the text of the driver, which may hold the address with its password."""
    cause = getattr(error, "orig", None) or error
    return Unavailable(
        f"The database can't be read ({type(cause).__name__}).",
        mend="Check that it runs, and the name, user and password of the address.",
    )


def _describe(connection: Connection, schema: str | None) -> dict[str, Any]:
    with warnings.catch_warnings():
        # Types and expressions that SQLAlchemy does not know are read from the catalogue itself.
        warnings.simplefilter("ignore", SAWarning)
        return _described(connection, schema)


def _described(connection: Connection, schema: str | None) -> dict[str, Any]:
    inspector = sa.inspect(connection)
    dialect = connection.dialect.name
    names = sorted(inspector.get_table_names(schema=schema))
    if len(names) > MOST_TABLES:
        raise InvalidInput(
            f"The database has {len(names)} tables, more than can be imported.",
            mend="Name a schema with fewer.",
        )
    types = _types(connection, dialect, schema or inspector.default_schema_name or "main")
    return {
        "dialect": {"postgresql": "postgres"}.get(dialect, dialect),
        "tables": [_table(inspector, name, types, schema) for name in names],
        "enums": _enums(inspector, dialect, schema),
        "views": sorted(inspector.get_view_names(schema=schema)),
    }


def _types(connection: Connection, dialect: str, schema: str) -> dict[tuple[str, str], str]:
    statement = sa.text(_TYPES[dialect])
    values = {"schema": schema} if ":schema" in _TYPES[dialect] else {}
    rows = connection.execute(statement, values)
    return {(str(table), str(column)): str(kind) for table, column, kind in rows}


def _enums(inspector: sa.Inspector, dialect: str, schema: str | None) -> list[dict[str, Any]]:
    if dialect != "postgresql":
        return []
    found: list[dict[str, Any]] = inspector.get_enums(schema=schema)  # type: ignore[attr-defined]
    return [{"name": each["name"], "values": list(each["labels"])} for each in found]


def _table(
    inspector: sa.Inspector, name: str, types: dict[tuple[str, str], str], schema: str | None
) -> dict[str, Any]:
    try:
        comment = inspector.get_table_comment(name, schema=schema)["text"]
    except NotImplementedError:
        comment = None
    columns = inspector.get_columns(name, schema=schema)
    primary = list(inspector.get_pk_constraint(name, schema=schema)["constrained_columns"])
    uniques, indexes = _uniques(inspector, name, primary, schema)
    return {
        "name": name,
        "comment": comment,
        "columns": [
            {
                "name": each["name"],
                "type": types.get((name, each["name"])) or "",
                "nullable": bool(each.get("nullable", True)),
                "default": None if each.get("default") is None else str(each["default"]),
                "comment": each.get("comment"),
                "identity": bool(each.get("identity") or each.get("autoincrement") is True),
                "computed": bool(each.get("computed")),
            }
            for each in columns
        ],
        "primary_key": primary,
        "uniques": uniques,
        "nulls_equal": _nulls_equal(inspector, name, schema),
        "foreign_keys": _foreign_keys(inspector, name, schema),
        "checks": [
            {"name": each["name"], "text": each["sqltext"]}
            for each in inspector.get_check_constraints(name, schema=schema)
        ],
        "indexes": [
            {
                "name": each["name"],
                "columns": [column for column in each["column_names"] if column],
                "unique": bool(each["unique"]),
                "partial": any(key.endswith("_where") for key in each.get("dialect_options", {})),
                "expressions": bool(each.get("expressions")),
                **_laid_out(each.get("dialect_options") or {}),
                "sorted": bool(each.get("column_sorting")),
            }
            for each in indexes
        ],
    }


def _laid_out(options: dict[str, Any]) -> dict[str, Any]:
    """How PostgreSQL and MySQL keep an index: by which method, and what it holds besides."""
    method = options.get("postgresql_using") or options.get("mysql_prefix") or ""
    return {
        "method": str(method).lower(),
        "included": bool(options.get("postgresql_include")),
        "nulls_equal": bool(options.get("postgresql_nulls_not_distinct")),
        "prefixed": bool(options.get("mysql_length")),
    }


def _nulls_equal(inspector: sa.Inspector, name: str, schema: str | None) -> list[list[str]]:
    """The unique constraints of PostgreSQL for which two nulls are the same."""
    if inspector.dialect.name != "postgresql":
        return []
    return [
        list(each["column_names"])
        for each in inspector.get_unique_constraints(name, schema=schema)
        if (each.get("dialect_options") or {}).get("postgresql_nulls_not_distinct")
    ]


def _uniques(
    inspector: sa.Inspector, name: str, primary: list[str], schema: str | None
) -> tuple[list[list[str]], list[Any]]:
    """The columns of unique constraints, and the indexes that are no part of one.

    SQLite keeps the constraints of a table as indexes of its own; its text isn't parsed.
    """
    if inspector.dialect.name == "sqlite":
        found: list[Any] = inspector.get_indexes(name, schema=schema, include_auto_indexes=True)
        own = [each for each in found if str(each["name"]).startswith("sqlite_autoindex_")]
        columns = [list(each["column_names"]) for each in own]
        return [each for each in columns if each != primary], [
            each for each in found if each not in own
        ]
    constraints = inspector.get_unique_constraints(name, schema=schema)
    taken = {each["name"] for each in constraints}
    rest = [each for each in inspector.get_indexes(name, schema=schema)
            if each["name"] not in taken]  # fmt: skip
    return [list(each["column_names"]) for each in constraints], rest


def _foreign_keys(inspector: sa.Inspector, name: str, schema: str | None) -> list[dict[str, Any]]:
    if inspector.dialect.name != "sqlite":
        return [_key(each) for each in inspector.get_foreign_keys(name, schema=schema)]
    # Of keys that are declared within a column SQLAlchemy does not tell what deleting does.
    found: dict[int, dict[str, Any]] = {}
    statement = sa.text(
        'SELECT id, "table", "from", "to", on_update, on_delete'
        " FROM pragma_foreign_key_list(:name) ORDER BY id, seq"
    )
    connection = inspector.bind
    assert isinstance(connection, Connection)
    for key, table, column, referred, on_update, on_delete in connection.execute(
        statement, {"name": name}
    ):
        each = found.setdefault(key, {"columns": [], "table": table, "referred": []})
        each |= {"on_delete": str(on_delete), "on_update": str(on_update)}
        each["columns"].append(column)
        each["referred"] += [] if referred is None else [referred]
    return list(found.values())


def _key(each: ReflectedForeignKeyConstraint) -> dict[str, Any]:
    options = each.get("options") or {}
    return {
        "columns": list(each["constrained_columns"]),
        "table": each["referred_table"],
        "referred": list(each["referred_columns"]),
        "on_delete": str(options.get("ondelete") or "NO ACTION").upper(),
        "on_update": str(options.get("onupdate") or "NO ACTION").upper(),
    }
