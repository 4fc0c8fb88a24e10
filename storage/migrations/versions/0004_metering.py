"""Usage, charges, the double-entry ledger and the counters of budgets.

Every key begins with the tenant, so that the tables can be partitioned by it as they are.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TENANT_TABLES = (
    "usage",
    "unrated_usage",
    "tier_counts",
    "ledger_entries",
    "ledger_postings",
    "charges",
    "budget_limits",
    "budget_periods",
    "reservations",
)

SCHEMA = """
CREATE TABLE webnova.usage (
    tenant_id text NOT NULL,
    source text NOT NULL,
    source_id text NOT NULL,
    meter text NOT NULL,
    quantity numeric NOT NULL CHECK (quantity >= 0 AND quantity < 1e18),
    user_id text NOT NULL,
    platform text NOT NULL,
    region text NOT NULL,
    occurred_at timestamptz NOT NULL,
    attributes jsonb NOT NULL,
    digest text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, source, source_id)
);
CREATE INDEX usage_by_time ON webnova.usage (tenant_id, occurred_at);

-- What ingestion leaves for rating to take away; a row goes with the charge that answers it.
CREATE TABLE webnova.unrated_usage (
    tenant_id text NOT NULL,
    source text NOT NULL,
    source_id text NOT NULL,
    region text NOT NULL,
    meter text NOT NULL,
    awaiting boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, source, source_id),
    FOREIGN KEY (tenant_id, source, source_id) REFERENCES webnova.usage
);
CREATE INDEX unrated_usage_ready ON webnova.unrated_usage (tenant_id, source, source_id)
    WHERE NOT awaiting;
CREATE INDEX unrated_usage_awaiting ON webnova.unrated_usage (tenant_id, region, meter)
    WHERE awaiting;

CREATE TABLE webnova.tier_counts (
    tenant_id text NOT NULL,
    period text NOT NULL,
    region text NOT NULL,
    meter text NOT NULL,
    version integer NOT NULL,
    quantity numeric NOT NULL CHECK (quantity >= 0 AND quantity < 'Infinity'),
    PRIMARY KEY (tenant_id, period, region, meter, version)
);

CREATE TABLE webnova.ledger_entries (
    tenant_id text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('rating', 'correction', 'closing')),
    period text NOT NULL,
    corrects text CHECK (corrects IS NULL OR kind = 'correction'),
    at timestamptz NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, corrects) REFERENCES webnova.ledger_entries (tenant_id, id),
    CHECK (kind <> 'correction' OR corrects IS NOT NULL)
);

CREATE TABLE webnova.ledger_postings (
    tenant_id text NOT NULL,
    entry_id text NOT NULL,
    account text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount numeric NOT NULL CHECK (amount > '-Infinity' AND amount < 'Infinity'),
    PRIMARY KEY (tenant_id, entry_id, account, currency),
    FOREIGN KEY (tenant_id, entry_id) REFERENCES webnova.ledger_entries (tenant_id, id)
);

CREATE TABLE webnova.charges (
    tenant_id text NOT NULL,
    entry_id text NOT NULL,
    source text NOT NULL,
    source_id text NOT NULL,
    period text NOT NULL,
    currency text NOT NULL,
    amount numeric NOT NULL CHECK (amount > '-Infinity' AND amount < 'Infinity'),
    version integer NOT NULL,
    rated boolean NOT NULL,
    PRIMARY KEY (tenant_id, entry_id, source, source_id),
    FOREIGN KEY (tenant_id, entry_id) REFERENCES webnova.ledger_entries (tenant_id, id),
    FOREIGN KEY (tenant_id, source, source_id) REFERENCES webnova.usage
);
CREATE UNIQUE INDEX charges_once ON webnova.charges (tenant_id, source, source_id) WHERE rated;
CREATE INDEX charges_by_period ON webnova.charges (tenant_id, period);

CREATE TABLE webnova.budget_limits (
    tenant_id text NOT NULL,
    budget text NOT NULL,
    amount numeric NOT NULL CHECK (amount >= 0 AND amount < 1e18),
    PRIMARY KEY (tenant_id, budget)
);

CREATE TABLE webnova.budget_periods (
    tenant_id text NOT NULL,
    budget text NOT NULL,
    period text NOT NULL,
    amount numeric NOT NULL CHECK (amount >= 0 AND amount < 1e18),
    held numeric NOT NULL DEFAULT 0 CHECK (held >= 0 AND held < 'Infinity'),
    spent numeric NOT NULL DEFAULT 0 CHECK (spent > '-Infinity' AND spent < 'Infinity'),
    PRIMARY KEY (tenant_id, budget, period),
    FOREIGN KEY (tenant_id, budget) REFERENCES webnova.budget_limits
);

CREATE TABLE webnova.reservations (
    tenant_id text NOT NULL,
    id text NOT NULL,
    budget text NOT NULL,
    period text NOT NULL,
    amount numeric NOT NULL CHECK (amount >= 0 AND amount < 1e18),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, budget, period) REFERENCES webnova.budget_periods
);
CREATE INDEX reservations_by_end ON webnova.reservations (tenant_id, expires_at);
CREATE INDEX reservations_of_budget ON webnova.reservations (tenant_id, budget, expires_at);

-- What is recorded stays: no row of these can be changed or taken away by the application.
GRANT SELECT, INSERT ON webnova.usage, webnova.ledger_postings, webnova.charges TO webnova_app;
GRANT SELECT, INSERT (tenant_id, id, kind, period, corrects, at) ON webnova.ledger_entries
    TO webnova_app;
GRANT SELECT, INSERT, UPDATE ON webnova.tier_counts, webnova.budget_limits,
    webnova.budget_periods TO webnova_app;
GRANT SELECT, INSERT, UPDATE (awaiting), DELETE ON webnova.unrated_usage TO webnova_app;
-- The executor finds out whose books are to be kept: it sees that something is due, not what.
GRANT SELECT (tenant_id, awaiting) ON webnova.unrated_usage TO webnova_worker;
GRANT SELECT (tenant_id, expires_at) ON webnova.reservations TO webnova_worker;
-- Without a right to update some column no row can be locked, and expiry locks what it looks at.
GRANT SELECT, INSERT, UPDATE (expires_at), DELETE ON webnova.reservations TO webnova_app;
"""

# An entry is complete when its transaction is: postings can't be added later, and they balance.
# A tenant that was changed before the commit would hide the rows, so what can't be seen is refused.
BALANCE = """
CREATE FUNCTION webnova.check_entry(owner text, entry text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    made xid8;
    lines bigint;
    unbalanced text;
BEGIN
    SELECT e.xid INTO made FROM webnova.ledger_entries e
    WHERE e.tenant_id = owner AND e.id = entry;
    IF made IS DISTINCT FROM pg_current_xact_id() THEN
        RAISE EXCEPTION 'the entry was not made by this transaction'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    SELECT count(*) INTO lines FROM webnova.ledger_postings p
    WHERE p.tenant_id = owner AND p.entry_id = entry;
    SELECT string_agg(s.currency, ', ') INTO unbalanced FROM (
        SELECT p.currency FROM webnova.ledger_postings p
        WHERE p.tenant_id = owner AND p.entry_id = entry
        GROUP BY p.currency HAVING sum(p.amount) <> 0
    ) s;
    IF lines < 2 OR unbalanced IS NOT NULL THEN
        RAISE EXCEPTION 'the postings of the entry do not sum to zero'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END
$$
"""
ENTRY_TRIGGER_FUNCTION = """
CREATE FUNCTION webnova.ledger_entry_balances() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM webnova.check_entry(NEW.tenant_id, NEW.id);
    RETURN NULL;
END
$$
"""
POSTING_TRIGGER_FUNCTION = """
CREATE FUNCTION webnova.ledger_posting_balances() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM webnova.check_entry(NEW.tenant_id, NEW.entry_id);
    RETURN NULL;
END
$$
"""
TRIGGER = """
CREATE CONSTRAINT TRIGGER balances AFTER INSERT ON webnova.{table}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION webnova.{function}()
"""

WALL = """
ALTER TABLE webnova.{table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE webnova.{table} FORCE ROW LEVEL SECURITY;
CREATE POLICY {table}_of_tenant ON webnova.{table} TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()));
"""

DUE = """
CREATE POLICY {table}_due ON webnova.{table} FOR SELECT TO webnova_worker USING (true);
"""


def upgrade() -> None:
    script = SCHEMA + "".join(WALL.format(table=table) for table in TENANT_TABLES)
    script += "".join(DUE.format(table=table) for table in ("unrated_usage", "reservations"))
    for statement in script.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for function in (BALANCE, ENTRY_TRIGGER_FUNCTION, POSTING_TRIGGER_FUNCTION):
        op.execute(function)
    op.execute(TRIGGER.format(table="ledger_entries", function="ledger_entry_balances"))
    op.execute(TRIGGER.format(table="ledger_postings", function="ledger_posting_balances"))


def downgrade() -> None:
    raise RuntimeError("what was recorded is never dropped; restore a backup instead")
