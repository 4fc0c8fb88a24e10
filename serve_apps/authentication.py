"""Who is calling: API tokens in, a session out that acts for the caller in one tenant."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from structlog.contextvars import bind_contextvars

from engine.kernel.contracts import Call, Caller, Command, Query, View
from engine.kernel.dispatch import ROOT_TENANT, answer_as, require
from engine.kernel.errors import NotFound, Unauthenticated
from engine.trust.tenants import Tenant
from engine.trust.tokens import parse
from serve_apps.services import Services, services_of

V = TypeVar("V", bound=View)

bearer = HTTPBearer(
    auto_error=False, bearerFormat="wn_<tenant>_<id>_<secret>", description="An API token."
)

TenantHeader = Annotated[
    str | None,
    Header(
        alias="X-WebNova-Tenant",
        description="Act inside another tenant. Only for members of the root tenant who hold "
        "`tenant.administer`.",
        pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        max_length=40,
    ),
]
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Repeating a call with its key returns the first answer and does nothing "
        "twice. A key belongs to the tenant and to one request.",
        pattern=r"^[\x21-\x7e]+$",
        min_length=1,
        max_length=200,
        examples=["5d2c6c1e-create-clinic"],
    ),
]


class Session:
    """One request's caller. The token is proved at the first use, once."""

    def __init__(self, services: Services, token: str, tenant: str | None, trace: str) -> None:
        self._installation = services.installation
        self._token = token
        self._home = parse(token)[0]
        self.trace = trace
        self._caller: Caller | None = None
        self.key: str | None = None
        self.tenant = tenant or self._home

    async def caller(self) -> Caller:
        if self._caller is None:
            caller = await self._installation.authenticate(self._token)
            if self.tenant != self._home:
                await self._visit(caller)
            self._caller = caller
        return self._caller

    async def _visit(self, caller: Caller) -> None:
        """Check that the other tenant exists and that the caller may act there."""
        require(caller, "tenant.administer", self.tenant)
        async with self._installation.transactions.reading(ROOT_TENANT) as reader:
            if await reader.find(Tenant, self.tenant) is None:
                raise NotFound("There is no such tenant.")

    async def prove_again(self) -> None:
        """Raise `Unauthenticated` if the token lost its force since it was proved."""
        self._caller = None
        await self.caller()

    async def require(self, permission: str) -> None:
        require(await self.caller(), permission, self.tenant)

    async def ask(self, answer: type[V], query: Query) -> V:
        """The answer to a query in the session's tenant.

        At home, proving the token and answering share one transaction.
        """
        if self._caller is None and self.tenant == self._home:
            self._caller, view = await self._installation.ask_as(self._token, query)
        else:
            view = await self._installation.dispatcher.ask(query, await self.caller(), self.tenant)
        return answer_as(answer, view)

    async def tell(self, answer: type[V], command: Command, *, tenant: str | None = None) -> V:
        """Execute a command under the request's idempotency key."""
        call = Call(
            command,
            await self.caller(),
            tenant or self.tenant,
            idempotency_key=self.key,
            trace=self.trace,
        )
        return answer_as(answer, await self._installation.dispatcher.execute(call))


async def open_session(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    tenant: TenantHeader = None,
) -> Session:
    """For reading. Raises `Unauthenticated` at once when no token was sent."""
    if credentials is None:
        raise Unauthenticated(
            "An API token is needed.",
            mend="Send it as 'Authorization: Bearer wn_…'; `webnova token` shows the local one.",
        )
    trace = request.scope["state"]["trace"]
    session = Session(services_of(request), credentials.credentials, tenant, trace)
    bind_contextvars(tenant=session.tenant)
    return session


async def open_writing_session(
    session: Annotated[Session, Depends(open_session)], key: KeyHeader = None
) -> Session:
    """For writing: the token is proved before the input is looked at."""
    await session.caller()
    session.key = key
    return session


Reading = Annotated[Session, Depends(open_session)]
Writing = Annotated[Session, Depends(open_writing_session)]
