"""Usage, charges and the ledger in Postgres: `engine.ledger.metering.store.Metering`.

Rows go in as arrays, one statement for a whole batch. The tables are insert-only for the
application, but for the list of what is still to be rated and the counts of tiers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.ledger.metering.store import (
    Charge,
    ChargedLine,
    Consumption,
    DayCost,
    Entry,
    Key,
    RatedUsage,
    TierKey,
    Unrated,
    Usage,
    UsageFilter,
    UsageTotal,
)
from storage.database import Database

# Rows are taken in the order of their key, so that writers of the same keys wait for each other
# in one order.
ADD = text(
    """
    WITH added AS (
        INSERT INTO usage (tenant_id, source, source_id, meter, quantity, user_id, platform,
                           region, occurred_at, attributes, digest)
        SELECT :t, g.source, g.id, g.meter, g.quantity, g.user_id, g.platform, g.region,
               g.occurred_at, CAST(g.attributes AS jsonb), g.digest
        FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[]), CAST(:meters AS text[]),
                    CAST(:quantities AS numeric[]), CAST(:users AS text[]),
                    CAST(:platforms AS text[]), CAST(:regions AS text[]),
                    CAST(:times AS timestamptz[]), CAST(:attributes AS text[]),
                    CAST(:digests AS text[]))
             AS g (source, id, meter, quantity, user_id, platform, region, occurred_at,
                   attributes, digest)
        ON CONFLICT (tenant_id, source, source_id) DO NOTHING
        RETURNING source, source_id, region, meter
    ), queued AS (
        INSERT INTO unrated_usage (tenant_id, source, source_id, region, meter)
        SELECT :t, source, source_id, region, meter FROM added
    )
    SELECT source, source_id FROM added
    """
)
KEYS = "unnest(CAST(:sources AS text[]), CAST(:ids AS text[])) AS k (source, id)"
DIGESTS = text(
    f"SELECT u.source, u.source_id, u.digest FROM {KEYS}"
    " JOIN usage u ON u.tenant_id = :t AND u.source = k.source AND u.source_id = k.id"
)
PERIOD = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM')"
# A plan that was kept from when the tables were small joins a large batch row by row.
PLAN_ANEW = text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('webnova.rating/' || :t, 0))")
TO_RATE = text(
    """
    SELECT u.source, u.source_id, u.meter, u.quantity, u.user_id, u.platform, u.region,
           u.occurred_at
    FROM (
        SELECT source, source_id FROM unrated_usage WHERE tenant_id = :t AND NOT awaiting
        ORDER BY source, source_id LIMIT :limit
    ) n JOIN usage u ON u.tenant_id = :t AND u.source = n.source AND u.source_id = n.source_id
    ORDER BY u.source, u.source_id
    """
)
AWAIT = text(
    f"UPDATE unrated_usage n SET awaiting = true FROM {KEYS}"
    " WHERE n.tenant_id = :t AND n.source = k.source AND n.source_id = k.id"
)
WAKE = text(
    "UPDATE unrated_usage SET awaiting = false WHERE tenant_id = :t AND awaiting"
    " AND region = :region AND meter = ANY(CAST(:meters AS text[]))"
)
UNRATED = """
    SELECT {period} AS period, u.region, u.meter, n.awaiting, sum(u.quantity) AS quantity,
           count(*) AS events
    FROM unrated_usage n
    JOIN usage u USING (tenant_id, source, source_id)
    WHERE n.tenant_id = :t {condition}
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
TIER_KEYS = (
    "unnest(CAST(:periods AS text[]), CAST(:regions AS text[]), CAST(:meters AS text[]),"
    " CAST(:versions AS integer[])"
)
TIER_COUNTS = text(
    f"SELECT c.* FROM {TIER_KEYS}) AS k (period, region, meter, version)"
    " JOIN tier_counts c ON c.tenant_id = :t AND c.period = k.period AND c.region = k.region"
    " AND c.meter = k.meter AND c.version = k.version"
)
SET_TIER_COUNTS = text(
    "INSERT INTO tier_counts (tenant_id, period, region, meter, version, quantity)"
    f" SELECT :t, k.* FROM {TIER_KEYS}, CAST(:quantities AS numeric[])) AS k"
    " ON CONFLICT (tenant_id, period, region, meter, version)"
    " DO UPDATE SET quantity = excluded.quantity"
)
POST_ENTRY = text(
    "INSERT INTO ledger_entries (tenant_id, id, kind, period, corrects, at)"
    " VALUES (:t, :id, :kind, :period, :corrects, :at)"
)
POST_LINES = text(
    "INSERT INTO ledger_postings (tenant_id, entry_id, account, currency, amount)"
    " SELECT :t, :entry, p.* FROM unnest(CAST(:accounts AS text[]), CAST(:currencies AS text[]),"
    " CAST(:amounts AS numeric[])) AS p"
)
CHARGE = text(
    """
    WITH answered AS (
        DELETE FROM unrated_usage n USING unnest(
            CAST(:sources AS text[]), CAST(:ids AS text[]), CAST(:rated AS boolean[])
        ) AS k (source, id, rated)
        WHERE n.tenant_id = :t AND n.source = k.source AND n.source_id = k.id AND k.rated
    )
    INSERT INTO charges (tenant_id, entry_id, source, source_id, period, currency, amount,
                         version, rated)
    SELECT :t, :entry, c.* FROM unnest(
        CAST(:sources AS text[]), CAST(:ids AS text[]), CAST(:periods AS text[]),
        CAST(:currencies AS text[]), CAST(:amounts AS numeric[]), CAST(:versions AS integer[]),
        CAST(:rated AS boolean[])
    ) AS c
    """
)
RATED = text(
    """
    SELECT c.*, u.meter, u.platform, u.user_id
    FROM charges c JOIN usage u USING (tenant_id, source, source_id)
    WHERE c.tenant_id = :t AND c.source = :source AND c.source_id = :id AND c.rated
    """
)
CHARGED = text(
    """
    SELECT u.platform, u.user_id, u.meter, c.currency, sum(c.amount) AS amount,
           coalesce(sum(u.quantity) FILTER (WHERE c.rated), 0) AS quantity
    FROM charges c JOIN usage u USING (tenant_id, source, source_id)
    WHERE c.tenant_id = :t AND c.period = :period
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    """
)
DAYS = text(
    """
    SELECT c.currency, CAST(u.occurred_at AT TIME ZONE 'UTC' AS date) AS day,
           sum(c.amount) AS amount
    FROM usage u JOIN charges c USING (tenant_id, source, source_id)
    WHERE u.tenant_id = :t AND u.occurred_at >= :start AND u.occurred_at < :end
    GROUP BY 1, 2 ORDER BY 1, 2
    """
)

UNSETTLED = text(
    """
    SELECT tenant_id FROM (
        SELECT tenant_id FROM unrated_usage WHERE NOT awaiting
        UNION SELECT tenant_id FROM reservations WHERE expires_at <= now()
    ) due
    WHERE mod(hashtext(tenant_id)::bigint + 2147483648, :shards) = :shard ORDER BY tenant_id
    """
)


class PostgresMetering:
    """On one open transaction of one tenant."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def _run(self, statement: Any, **values: Any) -> Any:
        return await self._connection.execute(statement, {"t": self._tenant, **values})

    async def add(self, usage: Sequence[Usage]) -> Mapping[Key, str]:
        rows = sorted(usage, key=lambda each: each.key)
        await self._connection.execute(PLAN_ANEW)
        added = await self._run(
            ADD,
            **_keys(each.key for each in rows),
            meters=[each.meter for each in rows],
            quantities=[each.quantity for each in rows],
            users=[each.user for each in rows],
            platforms=[each.platform for each in rows],
            regions=[each.region for each in rows],
            times=[each.occurred_at for each in rows],
            attributes=[json.dumps(dict(each.attributes)) for each in rows],
            digests=[each.digest for each in rows],
        )
        new = {(row.source, row.source_id) for row in added}
        before = [each.key for each in rows if each.key not in new]
        if not before:
            return {}
        found = await self._run(DIGESTS, **_keys(before))
        return {(row.source, row.source_id): row.digest for row in found}

    async def totals(
        self, wanted: UsageFilter, *, after: Sequence[str] | None, limit: int
    ) -> Sequence[UsageTotal]:
        values: dict[str, Any] = {"start": wanted.start, "end": wanted.end, "limit": limit}
        conditions = ["tenant_id = :t", "occurred_at >= :start", "occurred_at < :end"]
        for column, value in (
            ("meter", wanted.meter),
            ("platform", wanted.platform),
            ("user_id", wanted.user),
        ):
            if value is not None:
                conditions.append(f"{column} = :{column}")
                values[column] = value
        place = ""
        if after is not None:
            names = ("after_period", "after_meter", "after_platform", "after_user")
            values.update(zip(names, after, strict=True))
            markers = ", ".join(f":{name}" for name in names)
            place = f"WHERE (period, meter, platform, user_id) > ({markers})"
        statement = text(
            f"""
            SELECT * FROM (
                SELECT {PERIOD.format("occurred_at")} AS period, meter, platform, user_id,
                       sum(quantity) AS quantity, count(*) AS events
                FROM usage WHERE {" AND ".join(conditions)} GROUP BY 1, 2, 3, 4
            ) s {place} ORDER BY period, meter, platform, user_id LIMIT :limit
            """
        )
        return [
            UsageTotal(r.period, r.meter, r.platform, r.user_id, r.quantity, r.events)
            for r in await self._run(statement, **values)
        ]

    async def lock_rating(self) -> None:
        await self._connection.execute(PLAN_ANEW)
        await self._run(LOCK)

    async def to_rate(self, limit: int) -> Sequence[Consumption]:
        return [_consumption(row) for row in await self._run(TO_RATE, limit=limit)]

    async def await_price(self, keys: Sequence[Key]) -> None:
        await self._run(AWAIT, **_keys(keys))

    async def wake(self, region: str, meters: Sequence[str]) -> int:
        return int((await self._run(WAKE, region=region, meters=list(meters))).rowcount)

    async def unrated(self, period: str | None = None) -> Sequence[Unrated]:
        shown = PERIOD.format("u.occurred_at")
        condition = "" if period is None else f"AND {shown} = :period"
        statement = text(UNRATED.format(period=shown, condition=condition))
        values = {} if period is None else {"period": period}
        return [
            Unrated(r.period, r.region, r.meter, r.awaiting, r.quantity, r.events)
            for r in await self._run(statement, **values)
        ]

    async def tier_counts(self, keys: Iterable[TierKey]) -> Mapping[TierKey, Decimal]:
        found = await self._run(TIER_COUNTS, **_tiers(list(keys)))
        return {TierKey(r.period, r.region, r.meter, r.version): r.quantity for r in found}

    async def set_tier_counts(self, counts: Mapping[TierKey, Decimal]) -> None:
        await self._run(SET_TIER_COUNTS, **_tiers(list(counts)), quantities=list(counts.values()))

    async def post(self, entry: Entry, charges: Sequence[Charge]) -> None:
        await self._run(
            POST_ENTRY,
            id=entry.id,
            kind=entry.kind,
            period=entry.period,
            corrects=entry.corrects,
            at=entry.at,
        )
        await self._run(
            POST_LINES,
            entry=entry.id,
            accounts=[each.account for each in entry.postings],
            currencies=[each.currency for each in entry.postings],
            amounts=[each.amount for each in entry.postings],
        )
        if charges:
            await self._run(
                CHARGE,
                entry=entry.id,
                **_keys((each.source, each.id) for each in charges),
                periods=[each.period for each in charges],
                currencies=[each.currency for each in charges],
                amounts=[each.amount for each in charges],
                versions=[each.version for each in charges],
                rated=[each.rated for each in charges],
            )

    async def rated(self, key: Key) -> RatedUsage | None:
        row = (await self._run(RATED, source=key[0], id=key[1])).first()
        if row is None:
            return None
        charge = Charge(
            row.source, row.source_id, row.period, row.currency, row.amount, row.version
        )
        return RatedUsage(charge, row.entry_id, row.meter, row.platform, row.user_id)

    async def charged(self, period: str) -> Sequence[ChargedLine]:
        return [
            ChargedLine(r.platform, r.user_id, r.meter, r.currency, r.quantity, r.amount)
            for r in await self._run(CHARGED, period=period)
        ]

    async def days(self, start: datetime, end: datetime) -> Sequence[DayCost]:
        rows = await self._run(DAYS, start=start, end=end)
        return [DayCost(row.currency, row.day, row.amount) for row in rows]


class PostgresMeteringBacklog:
    """Whose books are to be kept, as the executor role sees it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unsettled(self, shard: tuple[int, int] = (0, 1)) -> list[str]:
        async with self._database.transaction() as connection:
            values = {"shard": shard[0], "shards": shard[1]}
            return [row.tenant_id for row in await connection.execute(UNSETTLED, values)]

    async def close(self) -> None:
        await self._database.close()


def _keys(keys: Iterable[Key]) -> dict[str, list[str]]:
    listed = list(keys)
    return {"sources": [source for source, _ in listed], "ids": [id for _, id in listed]}


def _tiers(keys: Sequence[TierKey]) -> dict[str, list[Any]]:
    return {
        "periods": [key.period for key in keys],
        "regions": [key.region for key in keys],
        "meters": [key.meter for key in keys],
        "versions": [key.version for key in keys],
    }


def _consumption(row: Row[Any]) -> Consumption:
    return Consumption(
        source=row.source,
        id=row.source_id,
        meter=row.meter,
        quantity=row.quantity,
        user=row.user_id,
        platform=row.platform,
        region=row.region,
        occurred_at=row.occurred_at,
    )
