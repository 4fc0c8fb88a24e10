"""What the catalogue of a database says against the walls between tenants.

`violations` reads nothing but the catalogue, so that it judges a table made tomorrow as it judges
those of today. What is allowed to differ is declared here with its reason, and a declaration of
something that does not exist is a violation too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

WALL = "(tenant_id = ( SELECT webnova.current_tenant() AS current_tenant))"

TENANT = "( SELECT webnova.current_tenant() AS current_tenant)"
NOTED = f"(EXISTS ( SELECT\n   FROM webnova.deletions d\n  WHERE (d.tenant_id = {TENANT})))"
ERASED = f"({WALL} AND {NOTED})"
"""The wall of the eraser: rows of the tenant in whose scope it is, if root noted its deletion."""
ROOT = f"({TENANT} = 'root'::text)"
DECLARED_POLICIES = {
    "suspensions_of_tenant": (WALL, None),
    "suspensions_by_root": (ROOT, ROOT),
    "deletions_of_tenant": (WALL, None),
    "deletions_by_root": (
        ROOT,
        f"({ROOT} AND (EXISTS ( SELECT\n   FROM webnova.suspensions s\n"
        "  WHERE (s.tenant_id = deletions.tenant_id))))",
    ),
    "deletions_carried_out": ("true", WALL),
}
"""What only root decides of a tenant, and what carries it out: what each policy shows and takes."""
ROOT_DECIDES = {
    "suspensions": "a tenant sees its own and root writes them",
    "deletions": "a tenant sees its own, root writes them and the eraser carries them out",
}
"""Tables without a wall of the usual form."""
ERASER_MAY = {("deletions", None, "SELECT"), ("deletions", "purged_at", "UPDATE")}
"""Beside reading and deleting what its policies show."""

NOT_OF_TENANTS = {"alembic_version": "the schema's own version; granted to nobody"}
WIDE_POLICIES = {
    "work_of_all": "the executor leases the work of all tenants",
    "events_places": "the executor sees where events lie, to find logs that are behind",
    "log_heads_places": "as events_places",
    "unrated_usage_due": "the executor sees that usage is unrated, not which",
    "reservations_due": "the executor sees that a reservation ends, not which",
    "suspensions_of_all": "the executor sees whose work rests, not why",
    "subscriptions_of_all": "the executor leases the slots of all tenants' projections",
    "webhook_deliveries_due": "the executor sees that something is to be sent, not what or where",
    "documents_kinds": "the executor sees of which kinds there are documents",
    "document_folds_of_all": "the executor sees which kinds are to be folded anew",
}
"""Policies of the worker, whose columns `WORKER_SEES` bounds."""
WORKER_SEES = {
    "suspensions": {"SELECT tenant_id"},
    "work": {
        *("SELECT tenant_id", "SELECT kind", "SELECT id", "SELECT due_at", "SELECT priority"),
        *("SELECT fence", "SELECT owner", "SELECT leased_until"),
        *("UPDATE fence", "UPDATE owner", "UPDATE leased_until"),
    },
    "events": {"SELECT tenant_id", "SELECT xid", "SELECT position"},
    "log_heads": {"SELECT tenant_id", "SELECT xid", "SELECT position"},
    "unrated_usage": {"SELECT tenant_id", "SELECT awaiting"},
    "reservations": {"SELECT tenant_id", "SELECT expires_at"},
    "subscriptions": {
        *("SELECT tenant_id", "SELECT name", "SELECT slot", "SELECT xid", "SELECT position"),
        *("SELECT fence", "SELECT owner", "SELECT leased_until", "SELECT replay"),
        *("UPDATE fence", "UPDATE owner", "UPDATE leased_until"),
    },
    "webhook_deliveries": {"SELECT tenant_id", "SELECT due_at"},
    "documents": {"SELECT tenant_id", "SELECT kind"},
    "document_folds": {"SELECT tenant_id", "SELECT kind", "SELECT fold"},
}
PUBLIC_FUNCTIONS = {
    "current_tenant": "policies call it as whoever reads",
    "append": "runs with its caller's rights, and rows are checked by the policies",
    "append_alone": "as append",
    "append_one": "as append",
    "append_joint": "as append",
    "advance": "as append",
    "lock_streams": "takes locks that anybody may take, and reads nothing",
    "check_entry": "as append",
    "current_xid": "tells a number of the transaction itself",
    "horizon": "tells a number of the server",
    "cluster": "as horizon",
    "ledger_entry_balances": "a trigger's",
    "ledger_posting_balances": "a trigger's",
}
"""Functions that anybody who may use the schema may call."""
UNPINNED = {
    "append": "its caller can create nothing that a search path could find; tables are qualified",
    "append_alone": "as append",
    "append_one": "as append",
    "append_joint": "as append",
    "advance": "as append",
    "make_event_partitions": "only the owner may call it; tables are qualified",
}
"""Functions without a search path of their own."""

RELATIONS = """
SELECT c.oid, c.relname AS name, c.relkind::text AS kind, c.relispartition AS part,
    c.relrowsecurity AS walled, c.relforcerowsecurity AS forced, c.reloptions AS options,
    r.rolname AS owner, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
        AND a.attname = 'tenant_id' AND a.attnotnull) AS owned,
    EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN') AS ruled
FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relnamespace = 'webnova'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
"""
POLICIES = """
SELECT c.relname AS table, c.relispartition AS part, p.polname AS name, p.polcmd::text AS command,
    p.polpermissive AS permissive,
    ARRAY(SELECT coalesce(r.rolname, 'public') FROM unnest(p.polroles) AS u(id)
          LEFT JOIN pg_roles r ON r.oid = u.id) AS roles,
    pg_get_expr(p.polqual, p.polrelid) AS shown, pg_get_expr(p.polwithcheck, p.polrelid) AS taken
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = 'webnova'::regnamespace
"""
FUNCTIONS = """
SELECT p.proname AS name, p.prosecdef AS definer, r.rolname AS owner,
    p.prosqlbody IS NOT NULL AS parsed,
    coalesce((SELECT setting FROM unnest(p.proconfig) AS s(setting)
              WHERE setting LIKE 'search_path=%'), '') AS path,
    EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
            WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE') AS public
FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
WHERE p.pronamespace = 'webnova'::regnamespace
"""
UNIQUE = """
SELECT i.indexrelid::regclass::text AS name, c.relname AS table,
    EXISTS (SELECT FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
            WHERE a.attname = 'tenant_id' AND k.place <= i.indnkeyatts) AS owned
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE (i.indisunique OR i.indisexclusion) AND c.relnamespace = 'webnova'::regnamespace
"""
FOREIGN = """
SELECT f.conname AS name, c.relname AS table,
    EXISTS (SELECT FROM unnest(f.conkey, f.confkey) AS k(here, there)
            JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.here
            JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.there
            WHERE a.attname = 'tenant_id' AND b.attname = 'tenant_id') AS owned
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid
WHERE f.contype = 'f' AND c.relnamespace = 'webnova'::regnamespace
"""
ROLES = r"""
SELECT r.rolname AS name,
    r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication AS mighty,
    EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid) AS member,
    EXISTS (SELECT FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass
            AND d.refobjid = r.oid AND d.deptype = 'o') AS owns,
    has_database_privilege(r.oid, current_database(), 'CREATE')
        OR has_database_privilege(r.oid, current_database(), 'TEMPORARY')
        OR EXISTS (SELECT FROM pg_namespace n
                   WHERE has_schema_privilege(r.oid, n.oid, 'CREATE')) AS creates
FROM pg_roles r WHERE r.rolname LIKE 'webnova\_%'
"""
GRANTS = """
SELECT c.relname AS table, c.relkind::text AS kind, c.relispartition AS part,
    coalesce(r.rolname, 'public') AS grantee, a.privilege_type AS privilege,
    g.attname AS column, n.nspname AS schema
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT NULL::name AS attname, c.relacl AS acl
    UNION ALL SELECT t.attname, t.attacl FROM pg_attribute t
    WHERE t.attrelid = c.oid AND NOT t.attisdropped
) g
CROSS JOIN LATERAL aclexplode(g.acl) a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE g.acl IS NOT NULL AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND a.grantee <> c.relowner
"""
COLUMNS = """
SELECT c.relname AS table, a.attname AS column FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'webnova'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
"""
DEFAULTS = "SELECT defaclobjtype::text AS kind, defaclacl::text AS acl FROM pg_default_acl"


LAWS = frozenset(
    {
        *("exception without a table", "exception without a policy"),
        *("exception without a function", "owned by another role", "rewrite rule"),
        *("materialised view", "foreign table", "view with its owner's rights", "no tenant"),
        *("no row security", "row security not forced", "no policy", "policy of a partition"),
        *("undeclared policy", "policy for others", "policy shows others", "policy takes others"),
        *("function with its owner's rights", "function open to all", "search path of the caller"),
        *("unique across tenants", "reference across tenants", "role too mighty"),
        *("role is a member", "role owns", "role may create", "granted by default"),
        *("granted outside the schema", "granted to others", "granted what nobody may reach"),
        *("sequence can be read or set", "granted more than rows", "worker sees more"),
        "worker sees less than declared",
    }
)


@dataclass(frozen=True, slots=True)
class Violation:
    """One of the `LAWS`, and the object that breaks it."""

    law: str
    object: str

    def __post_init__(self) -> None:
        assert self.law in LAWS, self.law


async def violations(connection: asyncpg.Connection) -> set[Violation]:
    """Everything that stands against the walls; empty for a sound schema."""
    found = {
        *_relations(await connection.fetch(RELATIONS)),
        *_policies(await connection.fetch(RELATIONS), await connection.fetch(POLICIES)),
        *_functions(await connection.fetch(FUNCTIONS)),
        *_roles(await connection.fetch(ROLES)),
        *_grants(await connection.fetch(GRANTS), await connection.fetch(COLUMNS)),
    }
    for law, query in (("unique across tenants", UNIQUE), ("reference across tenants", FOREIGN)):
        for row in await connection.fetch(query):
            if not row["owned"] and row["table"] not in NOT_OF_TENANTS:
                found.add(Violation(law, row["name"]))
    for row in await connection.fetch(DEFAULTS):
        found.add(Violation("granted by default", f"{row['kind']} {row['acl']}"))
    return found


def _undeclared(law: str, declared: Mapping[str, Any], existing: Iterable[str]) -> set[Violation]:
    return {Violation(law, name) for name in declared.keys() - set(existing)}


def _relations(rows: list[Any]) -> set[Violation]:
    found = _undeclared("exception without a table", NOT_OF_TENANTS, (r["name"] for r in rows))
    for row in rows:
        laws = {
            "owned by another role": row["owner"] != "webnova_owner",
            "rewrite rule": row["ruled"],
            "materialised view": row["kind"] == "m",
            "foreign table": row["kind"] == "f",
            "view with its owner's rights": row["kind"] == "v"
            and not {"security_invoker=true", "security_invoker=on", "security_invoker=1"}
            & set(row["options"] or ()),
        }
        if row["kind"] in ("r", "p") and row["name"] not in NOT_OF_TENANTS:
            laws |= {
                "no tenant": not row["owned"],
                "no row security": not row["walled"],
                "row security not forced": not row["forced"],
            }
        found |= {Violation(law, row["name"]) for law, broken in laws.items() if broken}
    return found


def _policies(relations: list[Any], rows: list[Any]) -> set[Violation]:
    found = _undeclared("exception without a policy", WIDE_POLICIES, (r["name"] for r in rows))
    guarded = set()
    for row in rows:
        law = ""
        if row["part"]:
            law = "policy of a partition"
        elif row["name"] in DECLARED_POLICIES:
            as_declared = (row["shown"], row["taken"]) == DECLARED_POLICIES[row["name"]]
            law = "" if as_declared else "policy shows others"
        elif row["roles"] == ["webnova_worker"]:
            law = "" if row["name"] in WIDE_POLICIES else "undeclared policy"
        elif row["roles"] == ["webnova_eraser"]:
            law = "" if (row["shown"], row["taken"]) == (ERASED, "false") else "policy shows others"
        elif row["permissive"] and row["roles"] != ["webnova_app"]:
            law = "policy for others"
        elif row["shown"] != WALL:
            law = "policy shows others"
        elif row["taken"] != WALL:
            law = "policy takes others"
        elif row["command"] == "*" and row["permissive"]:
            guarded.add(row["table"])
        if law:
            found.add(Violation(law, row["name"]))
    for row in relations:
        walled = row["kind"] in ("r", "p") and not row["part"]
        if walled and row["name"] not in {*guarded, *NOT_OF_TENANTS, *ROOT_DECIDES}:
            found.add(Violation("no policy", row["name"]))
    return found


def _functions(rows: list[Any]) -> set[Violation]:
    names = {row["name"] for row in rows}
    found = _undeclared("exception without a function", PUBLIC_FUNCTIONS | UNPINNED, names)
    for row in rows:
        pinned = row["parsed"] or row["path"].startswith("search_path=pg_catalog")
        laws = {
            "function with its owner's rights": row["definer"],
            "owned by another role": row["owner"] != "webnova_owner",
            "function open to all": row["public"] and row["name"] not in PUBLIC_FUNCTIONS,
            "search path of the caller": not pinned and row["name"] not in UNPINNED,
        }
        found |= {Violation(law, row["name"]) for law, broken in laws.items() if broken}
    return found


def _roles(rows: list[Any]) -> set[Violation]:
    found = set()
    for row in rows:
        laws = {"role too mighty": row["mighty"]}
        if row["name"] != "webnova_owner":
            laws |= {
                "role is a member": row["member"],
                "role owns": row["owns"],
                "role may create": row["creates"],
            }
        found |= {Violation(law, row["name"]) for law, broken in laws.items() if broken}
    return found


def _grants(rows: list[Any], columns: list[Any]) -> set[Violation]:
    found = set()
    seen: dict[str, set[str]] = {}
    for row in rows:
        law = ""
        if row["schema"] != "webnova":
            law = "granted outside the schema" if row["grantee"].startswith("webnova_") else ""
        elif row["grantee"] == "webnova_eraser":
            given = (row["table"], row["column"], row["privilege"])
            usual = row["column"] is None and row["privilege"] in ("SELECT", "DELETE")
            law = "" if given in ERASER_MAY or usual else "granted to others"
        elif row["grantee"] not in ("webnova_app", "webnova_worker"):
            law = "granted to others"
        elif row["part"] or row["table"] in NOT_OF_TENANTS:
            law = "granted what nobody may reach"
        elif row["kind"] == "S":
            law = "" if row["privilege"] == "USAGE" else "sequence can be read or set"
        elif row["privilege"] not in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            law = "granted more than rows"
        elif row["grantee"] == "webnova_worker":
            named = {c["column"] for c in columns if c["table"] == row["table"]}
            named = named if row["column"] is None else {row["column"]}
            seen.setdefault(row["table"], set()).update(
                f"{row['privilege']} {column}" for column in named
            )
        if law:
            found.add(Violation(law, f"{row['table']} {row['privilege']} {row['grantee']}"))
    for table in seen.keys() | WORKER_SEES.keys():
        if seen.get(table, set()) - WORKER_SEES.get(table, set()):
            found.add(Violation("worker sees more", table))
        if WORKER_SEES.get(table, set()) - seen.get(table, set()):
            found.add(Violation("worker sees less than declared", table))
    return found
