"""Typed questions about documents, and the rows that answer them.

The indexed fields of each document lie beside it as rows of their own. An index over the JSON
itself would never be used: behind row-level security Postgres evaluates only what it knows to leak
nothing before the wall's own condition, and its JSON operators and exact numbers are not of these.
Numbers are therefore found as doubles and then compared exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from engine.kernel.contracts import Document
from engine.kernel.selections import Between, Condition, OneOf, Selection, Sort, StartsWith, sort_of
from storage.database import Database

COLUMNS = {
    Sort.TEXT: "text",
    Sort.FLAG: "text",
    Sort.INTEGER: "number",
    Sort.NUMBER: "number",
    Sort.INSTANT: "instant",
}
TYPES = {"text": "text", "number": "double precision", "instant": "timestamptz"}

KEEP = text(
    """
    INSERT INTO document_fields AS f (tenant_id, kind, id, field, text, number, instant)
    SELECT :t, :k, :i, n.* FROM unnest(
        CAST(:fields AS text[]), CAST(:texts AS text[]),
        CAST(:numbers AS double precision[]), CAST(:instants AS timestamptz[])
    ) AS n
    ON CONFLICT (tenant_id, kind, id, field) DO UPDATE
    SET text = excluded.text, number = excluded.number, instant = excluded.instant
    WHERE (f.text, f.number, f.instant)
        IS DISTINCT FROM (excluded.text, excluded.number, excluded.instant)
    """
)
# Kinds are found by skipping through the index from one to the next.
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


def fields_of(document: Document) -> dict[str, list[Any]]:
    """The parameters of `KEEP` for a document."""
    found: dict[str, list[Any]] = {"fields": [], "texts": [], "numbers": [], "instants": []}
    stored = document.model_dump(mode="json", include=set(document.indexed))
    for name in document.indexed:
        column = COLUMNS[sort_of(type(document), name)]
        value = stored[name] if column == "text" else getattr(document, name)
        if isinstance(value, bool):
            value = str(value).lower()
        if column == "number" and value is not None:
            value = float(value)
        found["fields"].append(name)
        for each in TYPES:
            found[f"{each}s"].append(value if each == column else None)
    return found


def statement(document: type[Document], selection: Selection) -> tuple[str, dict[str, Any]]:
    """The SQL of a selection, for the parameter `:t` (tenant) and those returned."""
    values: dict[str, Any] = {"k": document.kind, "limit": selection.limit}
    joins: list[str] = []
    exact: list[str] = []
    for number, (name, condition) in enumerate(selection.where.items()):
        alias = f"w{number}"
        sort = sort_of(document, name)
        found = list(_conditions(alias, COLUMNS[sort], condition, values))
        joins.append(_join(alias, name, found))
        if COLUMNS[sort] == "number":
            exact += _exactly(name, condition, alias, values)
    key = "d.id"
    if selection.order is not None:
        column = f"o.{COLUMNS[sort_of(document, selection.order)]}"
        joins.append(_join("o", selection.order, [f"{column} IS NOT NULL"]))
        key = f"{column}, d.id"
    direction = "DESC" if selection.descending else "ASC"
    if selection.after is not None:
        values["after"] = selection.after
        exact.append(_beyond(selection, key))
    where = ["d.tenant_id = :t", "d.kind = :k", "d.data IS NOT NULL", *exact]
    order = ", ".join(f"{part} {direction}" for part in key.split(", "))
    return (
        f"SELECT d.id, d.version, d.data, d.fold FROM documents d {' '.join(joins)}"
        f" WHERE {' AND '.join(where)} ORDER BY {order} LIMIT :limit"
    ), values


def _join(alias: str, field: str, conditions: list[str]) -> str:
    # Conditions on the key are said of each table: the planner may then begin with any of them.
    on = [
        f"{alias}.tenant_id = :t",
        f"{alias}.kind = :k",
        f"{alias}.id = d.id",
        f"{alias}.field = '{field}'",
        *conditions,
    ]
    return f"JOIN document_fields {alias} ON {' AND '.join(on)}"


def _beyond(selection: Selection, key: str) -> str:
    sign = "<" if selection.descending else ">"
    if selection.order is None:
        return f"d.id {sign} :after"
    column = key.partition(",")[0].removeprefix("o.")
    return (
        f"({key}) {sign} (SELECT {column}, id FROM document_fields WHERE tenant_id = :t"
        f" AND kind = :k AND id = :after AND field = '{selection.order}')"
    )


def _conditions(
    alias: str, column: str, condition: Condition, values: dict[str, Any]
) -> Iterator[str]:
    kind = TYPES[column]
    match condition:
        case OneOf(found):
            values[alias] = [_stored(column, each) for each in found]
            yield f"{alias}.{column} = ANY(CAST(:{alias} AS {kind}[]))"
        case StartsWith(start):
            values[alias] = start
            yield f"{alias}.text ^@ CAST(:{alias} AS text)"
        case Between(low, high):
            for bound, sign, suffix in ((low, ">=", "low"), (high, "<=", "high")):
                if bound is not None:
                    values[f"{alias}_{suffix}"] = _stored(column, bound)
                    yield f"{alias}.{column} {sign} CAST(:{alias}_{suffix} AS {kind})"


def _exactly(name: str, condition: Condition, alias: str, values: dict[str, Any]) -> Iterator[str]:
    """What tells numbers apart that are the same as doubles."""
    field = f"(d.data ->> '{name}')::numeric"
    match condition:
        case OneOf(found):
            values[f"{alias}_exact"] = [Decimal(each) for each in found]
            yield f"{field} = ANY(CAST(:{alias}_exact AS numeric[]))"
        case Between(low, high):
            for bound, sign, suffix in ((low, ">=", "least"), (high, "<=", "most")):
                if bound is not None:
                    values[f"{alias}_{suffix}"] = Decimal(bound)
                    yield f"{field} {sign} CAST(:{alias}_{suffix} AS numeric)"


def _stored(column: str, value: Any) -> Any:
    if column == "number":
        return float(value)
    return str(value).lower() if isinstance(value, bool) else value


class PostgresStaleDocuments:
    """Which kinds of which tenants are to be folded anew, as the executor role sees it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stale(
        self, folds: dict[str, int], shard: tuple[int, int] = (0, 1)
    ) -> Sequence[tuple[str, str]]:
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
