"""Who is calling: API tokens in, a session out that acts for the caller in one tenant."""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from structlog.contextvars import bind_contextvars

from engine.kernel.contracts import Call, Caller, Command, Query, View
from engine.kernel.dispatch import ROOT_TENANT, answer_as, require
from engine.kernel.errors import InvalidInput, NotFound, Unauthenticated
from engine.trust.tenants import Tenant
from engine.trust.tokens import parse
from serve_apps.services import Services, services_of

V = TypeVar("V", bound=View)

_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_TENANT = re.compile(r"(?=.{2,40}\Z)[a-z][a-z0-9]*(-[a-z0-9]+)*")
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


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
            found = await reader.find(Tenant, self.tenant)
            if found is None or found.document.deleted is not None:
                raise NotFound("There is no such tenant.")

    async def prove_again(self) -> None:
        """Raise `Unauthenticated` if the token lost its force since it was proved."""
        self._caller = None
        await self.caller()

    async def require(self, permission: str) -> None:
        require(await self.caller(), permission, self.tenant)

    async def ask(self, answer: type[V], query: Query) -> V:
        """The answer to a query in the session's tenant.

        At home, proving the token and answering share one statement where that is possible.
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


async def open_session(request: Request) -> Session:
    """For reading. Raises `Unauthenticated` at once when no token was sent.

    The headers are read by hand and documented by `serve_apps.openapi`: this is on the path of
    every request, and a chain of declared dependencies costs as much as the database.
    """
    match = _BEARER.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise Unauthenticated(
            "An API token is needed.",
            mend="Send it as 'Authorization: Bearer wn_…'; `webnova token` shows the local one.",
        )
    tenant = request.headers.get("x-webnova-tenant")
    if tenant is not None and _TENANT.fullmatch(tenant) is None:
        raise _bad_header("X-WebNova-Tenant", "that is not the name of a tenant")
    session = Session(services_of(request), match[1], tenant, request.scope["state"]["trace"])
    bind_contextvars(tenant=session.tenant)
    return session


async def open_writing_session(request: Request) -> Session:
    """For writing: the token is proved before the input is looked at."""
    session = await open_session(request)
    await session.caller()
    key = request.headers.get("idempotency-key")
    if key is not None and _KEY.fullmatch(key) is None:
        raise _bad_header("Idempotency-Key", "it has 1 to 200 visible ASCII characters, no spaces")
    session.key = key
    return session


def _bad_header(name: str, message: str) -> InvalidInput:
    place = {"path": name, "message": message, "in": "header"}
    return InvalidInput(f"{name}: {message}.", mend="Correct the header.", errors=[place])


Reading = Annotated[Session, Depends(open_session)]
Writing = Annotated[Session, Depends(open_writing_session)]
