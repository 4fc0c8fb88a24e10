"""Documents in Postgres: typed questions, and the indices that answer them.

A field's index is partial (one kind) and over an expression of the JSON value, so a kind pays only
for its own. Indices are made without blocking writers when the schema is brought up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.kernel.contracts import Document
from engine.kernel.selections import Between, Condition, OneOf, Selection, Sort, StartsWith, sort_of
from storage.database import Database

CASTS = {
    Sort.TEXT: "((data ->> '{name}') COLLATE \"C\")",
    Sort.INTEGER: "((data ->> '{name}')::bigint)",
    Sort.NUMBER: "((data ->> '{name}')::numeric)",
    Sort.FLAG: "((data ->> '{name}')::boolean)",
    Sort.INSTANT: "(webnova.instant(data ->> '{name}'))",
}
TYPES = {
    Sort.TEXT: "text",
    Sort.INTEGER: "bigint",
    Sort.NUMBER: "numeric",
    Sort.FLAG: "boolean",
    Sort.INSTANT: "timestamptz",
}
STALE_KINDS = text(
    """
    WITH RECURSIVE kinds AS (
        (SELECT tenant_id, kind FROM documents ORDER BY tenant_id, kind LIMIT 1)
        UNION ALL
        SELECT n.tenant_id, n.kind FROM kinds k CROSS JOIN LATERAL (
            SELECT d.tenant_id, d.kind FROM documents d
            WHERE (d.tenant_id, d.kind) > (k.tenant_id, k.kind)
            ORDER BY d.tenant_id, d.kind LIMIT 1
        ) n
    )
    SELECT k.tenant_id, k.kind FROM kinds k
    JOIN unnest(CAST(:kinds AS text[]), CAST(:folds AS smallint[])) AS w (kind, fold) USING (kind)
    LEFT JOIN document_folds f USING (tenant_id, kind)
    WHERE coalesce(f.fold, 1) <> w.fold
      AND mod(hashtext(k.tenant_id)::bigint + 2147483648, :shards) = :shard
    LIMIT 1000
    """
)
BROKEN = text(
    "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " WHERE NOT i.indisvalid AND c.relnamespace = 'webnova'::regnamespace"
    " AND c.relname LIKE 'documents\\_of\\_%'"
)


def expression(document: type[Document], name: str) -> str:
    """What the index of a field is over. Raises `InvalidInput` for one that has none."""
    return CASTS[sort_of(document, name)].format(name=name)


def statement(document: type[Document], selection: Selection) -> tuple[str, dict[str, Any]]:
    """The SQL of a selection, for the parameters `:t` (tenant) and those returned."""
    values: dict[str, Any] = {"k": document.kind, "limit": selection.limit}
    # The kind is written out: a partial index is used only where its condition is seen to hold.
    conditions = ["tenant_id = :t", f"kind = '{document.kind}'", "data IS NOT NULL"]
    for number, (name, condition) in enumerate(selection.where.items()):
        conditions += _conditions(document, name, condition, f"w{number}", values)
    key = "id"
    if selection.order is not None:
        key = f"{expression(document, selection.order)}, id"
        conditions.append(f"{expression(document, selection.order)} IS NOT NULL")
    direction = "DESC" if selection.descending else "ASC"
    if selection.after is not None:
        values["after"] = selection.after
        beyond = "<" if selection.descending else ">"
        place = f"(SELECT {key} FROM documents WHERE tenant_id = :t AND kind = :k AND id = :after)"
        conditions.append(f"({key}) {beyond} {place}")
    order = ", ".join(f"{part} {direction}" for part in key.split(", "))
    return (
        f"SELECT id, version, data, fold FROM documents WHERE {' AND '.join(conditions)}"
        f" ORDER BY {order} LIMIT :limit"
    ), values


def _conditions(
    document: type[Document], name: str, condition: Condition, key: str, values: dict[str, Any]
) -> Iterator[str]:
    field, kind = expression(document, name), TYPES[sort_of(document, name)]
    match condition:
        case OneOf(found):
            values[key] = list(found)
            yield f"{field} = ANY(CAST(:{key} AS {kind}[]))"
        case StartsWith(start):
            values[key] = start
            yield f"{field} ^@ :{key}"
        case Between(low, high):
            for bound, sign, suffix in ((low, ">=", "a"), (high, "<=", "b")):
                if bound is not None:
                    values[key + suffix] = bound
                    yield f"{field} {sign} CAST(:{key}{suffix} AS {kind})"


async def make_indices(connection: AsyncConnection, documents: Iterable[type[Document]]) -> None:
    """Make the indices that are missing, without blocking writers, as the owner of the schema.

    The connection must be in autocommit. One that an interrupted run left unusable is made anew.
    """
    for name in (await connection.execute(BROKEN)).scalars().all():
        await connection.execute(text(f'DROP INDEX CONCURRENTLY webnova."{name}"'))
    for document in documents:
        for field in document.indexed:
            await connection.execute(
                text(
                    "CREATE INDEX CONCURRENTLY IF NOT EXISTS"
                    f' "documents_of_{document.kind}_by_{field}" ON webnova.documents'
                    f" (tenant_id, {expression(document, field)}, id)"
                    f" WHERE kind = '{document.kind}'"
                )
            )


class PostgresStaleDocuments:
    """Which kinds of which tenants are to be folded anew, as the executor role sees it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stale(
        self, folds: dict[str, int], shard: tuple[int, int] = (0, 1)
    ) -> Sequence[tuple[str, str]]:
        # A kind whose fold never changed has no row, and one of a newer WebNova is none here.
        values = {
            "kinds": list(folds),
            "folds": list(folds.values()),
            "shard": shard[0],
            "shards": shard[1],
        }
        async with self._database.transaction() as connection:
            rows = await connection.execute(STALE_KINDS, values)
            return [(row.tenant_id, row.kind) for row in rows]

    async def close(self) -> None:
        await self._database.close()
