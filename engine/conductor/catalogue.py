"""Everything that the engine can record, be told and be asked, in one place."""

from __future__ import annotations

from engine.conductor import driving, requests
from engine.conductor.platforms import Instance, Platform
from engine.conductor.runs import Run
from engine.forge import versions
from engine.kernel.contracts import Catalogue
from engine.kernel.dispatch import Handlers
from engine.ledger import versions as versions_of_documents
from engine.ledger.archive.months import ArchiveNotes
from engine.ledger.archive.retention import DEFAULT_DAYS
from engine.ledger.documents import Documents, Rebuilding
from engine.ledger.metering import budgets, entries, forecast, prices, rating, statements, usage
from engine.ledger.subscriptions.projections import Projections
from engine.ledger.subscriptions.records import Subscription, Subscriptions
from engine.ledger.transparency import queries as log_queries
from engine.ledger.transparency.publishing import witnessing
from engine.ledger.webhooks.endpoints import Webhook, Webhooks
from engine.ledger.webhooks.sending import Outbox, QueueDeliveries
from engine.trust import erasure, tenants, tokens

CATALOGUE = Catalogue(
    [
        tenants.Tenant,
        tokens.Token,
        erasure.Subject,
        versions.BlueprintRecord,
        Platform,
        Run,
        Instance,
        prices.PriceBook,
        entries.LedgerEntry,
        entries.ClosedMonth,
        budgets.Budget,
        budgets.Reservation,
        Rebuilding,
        Subscription,
        Webhook,
        witnessing.WitnessedLog,
    ]
)
PROJECTIONS = Projections(CATALOGUE, [QueueDeliveries(CATALOGUE)])
EVIDENCE = (log_queries, witnessing)
METERING = (usage, prices, entries, rating, budgets, statements, forecast)


def all_handlers(retention_days: int = DEFAULT_DAYS) -> Handlers:
    """Everybody's handlers; `retention_days` is what the installation says of its events."""
    handlers = Handlers()
    handlers.include(ArchiveNotes(retention_days).handlers())
    handlers.include(versions_of_documents.handlers(CATALOGUE, handlers))
    for part in (Documents, Subscriptions, Webhooks, Outbox):
        handlers.include(part(CATALOGUE).handlers())
    handlers.include(PROJECTIONS.handlers())
    for module in (tenants, tokens, erasure, versions, requests, driving, *EVIDENCE, *METERING):
        handlers.include(module.handlers)
    return handlers
