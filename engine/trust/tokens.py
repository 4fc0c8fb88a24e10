"""API tokens: how programs prove who they are.

A token reads `wn_<tenant>_<id>_<secret>`: it names its tenant, so that looking it up happens
inside that tenant's walls. Only the SHA-256 of the secret is kept; the secret has 256 random bits,
so a slow password hash would add nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StringConstraints

from engine.kernel.contracts import (
    Call,
    Caller,
    Command,
    Document,
    Event,
    Query,
    Upcast,
    View,
)
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import Forbidden, NotFound, TenantDeleted, Unauthenticated
from engine.kernel.ids import uuid7
from engine.kernel.personal import PersonalText, SubjectId
from engine.kernel.secret import Secret
from engine.ledger.tenancy.suspension import require_active

TOKEN = re.compile(r"wn_([a-z][a-z0-9-]{0,39})_([0-9a-f]{32})_([A-Za-z0-9-]{43})")

PERMISSIONS: dict[str, str] = {
    "tenant.create": "Register tenants (root tenant only).",
    "tenant.read": "See the register of tenants (root tenant only).",
    "tenant.administer": "Act inside other tenants (root tenant only).",
    "tenant.suspend": "Suspend and resume tenants (root tenant only).",
    "tenant.delete": "Delete tenants for ever (root tenant only).",
    "tenant.export": "Export whole tenants (root tenant only).",
    "tenant.import": "Import whole tenants (root tenant only).",
    "token.issue": "Issue API tokens.",
    "token.read": "List API tokens, without their secrets.",
    "token.revoke": "Revoke API tokens.",
    "platform.create": "Create platforms.",
    "platform.read": "See platforms, their logs and their addresses.",
    "platform.build": "Build, roll back and cancel.",
    "platform.credentials": "See the first administrator's password of a platform.",
    "blueprint.read": "See Blueprints and their history.",
    "blueprint.write": "Change Blueprints.",
    "run.read": "See runs and their progress.",
    "event.read": "Read the tenant's event stream.",
    "subscription.read": "See durable subscriptions, how far they are, and their dead letters.",
    "subscription.write": "Open and close durable subscriptions, and replay their dead letters.",
    "subscription.consume": "Lease, acknowledge and reject events of durable subscriptions.",
    "subscription.drive": "Keep projections up with the events (the executor only).",
    "webhook.read": "See webhooks and their deliveries.",
    "webhook.write": "Add, change and remove webhooks, see their secrets, and replay deliveries.",
    "webhook.send": "Send what is due (the executor only).",
    "document.rebuild": "Fold documents anew from their events.",
    "audit.read": "Read checkpoints, proofs and whole exports of the tenant's log.",
    "witness.read": "See whose logs are cosigned, and with which keys.",
    "witness.trust": "Choose whose logs are cosigned.",
    "witness.cosign": "Have checkpoints of trusted logs cosigned.",
    "subject.read": "See whether personal data of a subject is kept.",
    "subject.erase": "Erase the personal data of a subject for ever.",
    "usage.read": "See usage, charges, statements and forecasts.",
    "usage.write": "Record usage.",
    "usage.rate": "Charge recorded usage at its prices.",
    "price.read": "See price books.",
    "price.write": "Publish prices.",
    "budget.read": "See budgets and reservations.",
    "budget.write": "Make budgets and change their limits.",
    "budget.reserve": "Reserve on budgets, settle and release.",
    "statement.close": "Close the statements of past months.",
    "statement.correct": "Correct charges.",
    "run.drive": "Execute runs (the executor only).",
}

Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


def _with_subject(data: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 a token had no subject, and its label was kept in the clear."""
    return {**data, "subject": f"token:{data['id']}"}


class TokenIssued(Event):
    type = "token.issued"
    private = frozenset({"secret_sha256"})
    schema_version = 2
    upcasts: ClassVar[Mapping[int, Upcast]] = {1: _with_subject}
    personal: ClassVar[Mapping[str, str]] = {"label": "subject"}

    id: str
    subject: str
    label: PersonalText
    secret_sha256: str
    permissions: list[str]
    expires_at: datetime | None = None


class TokenRevoked(Event):
    type = "token.revoked"


class Token(Document):
    kind = "token"
    events = (TokenIssued, TokenRevoked)

    id: str
    # A document from before there were subjects is brought up to date when it is read.
    subject: str = ""
    label: PersonalText
    secret_sha256: str
    permissions: list[str]
    expires_at: datetime | None = None
    revoked: bool = False

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        if isinstance(event, TokenIssued):
            return cls.model_validate(event.model_dump())
        assert state is not None
        return state.model_copy(update={"revoked": True})


class TokenView(View):
    """`subject` is whose personal data the label is."""

    personal: ClassVar[bool] = True

    id: str
    subject: str = ""
    label: PersonalText
    permissions: list[str]
    expires_at: datetime | None = None
    revoked: bool = False


class TokenList(View):
    personal: ClassVar[bool] = True

    items: list[TokenView]
    next: str | None = None


class IssueToken(Command):
    """Issue a token whose secret only the caller knows. It can't exceed the caller's own rights.

    `subject` is whose personal data the label is: the token's own, `token:<id>`, when left out.
    `id` and `secret_sha256` come from `draw()`; a repetition of the call draws others, so they
    are no part of the call's identity.
    """

    permission: ClassVar[str] = "token.issue"
    emits: ClassVar[tuple[type[Event], ...]] = (TokenIssued,)
    transient: ClassVar[frozenset[str]] = frozenset({"id", "secret_sha256"})

    id: str
    secret_sha256: str
    subject: SubjectId | None = None
    label: Label
    permissions: list[str] = Field(min_length=1, max_length=50)
    expires_at: datetime | None = None


class RevokeToken(Command):
    permission: ClassVar[str] = "token.revoke"
    emits: ClassVar[tuple[type[Event], ...]] = (TokenRevoked,)

    id: str


class ListTokens(Query):
    permission: ClassVar[str] = "token.read"

    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


handlers = Handlers()


@handlers.command(IssueToken, TokenView)
async def issue_token(command: IssueToken, tx: Transaction, call: Call) -> TokenView:
    excess = [name for name in command.permissions if not call.caller.may(name)]
    if excess:
        raise Forbidden(
            f"You can't give away permissions that you don't hold: {', '.join(excess)}.",
            mend="Leave them out.",
        )
    subject = command.subject or f"token:{command.id}"
    issued = TokenIssued.model_validate({**command.model_dump(), "subject": subject})
    stored = await tx.append(Token, command.id, [issued], expected=0)
    return _view(stored.document)


@handlers.command(RevokeToken, TokenView)
async def revoke_token(command: RevokeToken, tx: Transaction, call: Call) -> TokenView:
    found = await tx.find(Token, command.id)
    if found is None:
        raise NotFound("There is no token with that id.")
    if found.document.revoked:
        return _view(found.document)
    stored = await tx.append(Token, command.id, [TokenRevoked()], expected=found.version)
    return _view(stored.document)


@handlers.query(ListTokens, TokenList)
async def list_tokens(query: ListTokens, reader: Reader) -> TokenList:
    found = await reader.list(Token, after=query.after, limit=query.limit + 1)
    page = found[: query.limit]
    return TokenList(
        items=[_view(each.document) for each in page],
        next=page[-1].id if len(found) > len(page) else None,
    )


def _view(token: Token) -> TokenView:
    subject = token.subject or f"token:{token.id}"
    content = token.model_dump(exclude={"secret_sha256"})
    return TokenView.model_validate({**content, "subject": subject})


def draw(tenant: str) -> tuple[str, str, Secret]:
    """A fresh token: its id, the SHA-256 of its secret, and the whole token to hand out once."""
    secret = secrets.token_urlsafe(32).replace("_", "-")
    id = uuid7().hex
    return id, hash_secret(secret), Secret(f"wn_{tenant}_{id}_{secret}")


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def parse(token: str) -> tuple[str, str, str]:
    """Tenant, id and secret of a token as it was sent; `Unauthenticated` if it isn't one."""
    match = TOKEN.fullmatch(token)
    if match is None:
        raise _refused()
    return match[1], match[2], match[3]


async def authenticate(token: str, reader: Reader, now: datetime) -> Caller:
    """The caller whom the token proves; `Unauthenticated` for any reason it does not.

    `reader` must be inside the tenant that the token names. Raises `TenantSuspended` for a good
    token of a tenant at rest.
    """
    tenant, id, secret = parse(token)
    found = await reader.find(Token, id)
    if tenant != reader.tenant or found is None:
        raise _refused()
    kept = found.document
    genuine = hmac.compare_digest(kept.secret_sha256, hash_secret(secret))
    expired = kept.expires_at is not None and kept.expires_at <= now
    if not genuine or kept.revoked or expired:
        raise _refused()
    try:
        await require_active(reader)
    except TenantDeleted:
        raise _refused() from None
    return Caller(id=f"token:{id}", tenant=tenant, permissions=frozenset(kept.permissions))


def _refused() -> Unauthenticated:
    return Unauthenticated(
        "The API token is missing, wrong, expired or revoked.",
        mend="Send it as 'Authorization: Bearer wn_…'; `webnova token` shows the local one.",
    )
