"""The key to a new installation: one token of the root tenant, made once."""

from __future__ import annotations

import os

from engine.kernel.contracts import Call, Caller
from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import NotFound, Unauthenticated
from engine.trust.tenants import CreateTenant, GetTenant
from engine.trust.tokens import IssueToken, draw
from webnova.compose import Installation, compose
from webnova.stack.home import Home, write_private

OPERATOR = Caller(id="operator", tenant=ROOT_TENANT, permissions=frozenset({"*"}))


async def ensure_first_token() -> None:
    """Make sure that the home's first token opens the root tenant of its database.

    An existing token that still works is kept. The token is written to a file that only the
    owner can read, before it becomes valid, so that one that is valid is never lost.
    """
    home = Home.at(os.environ["WEBNOVA_HOME"])
    installation = compose("first-token", pool=1)
    try:
        if home.first_token_file.exists() and await _works(
            installation, home.first_token_file.read_text(encoding="utf-8").strip()
        ):
            return
        await _ensure_root(installation)
        id, secret_hash, token = draw(ROOT_TENANT)
        write_private(home.first_token_file, token.reveal())
        issue = IssueToken(id=id, secret_sha256=secret_hash, label="first token", permissions=["*"])
        await installation.dispatcher.execute(Call(issue, OPERATOR, ROOT_TENANT))
    finally:
        await installation.close()


async def _works(installation: Installation, token: str) -> bool:
    try:
        await installation.authenticate(token)
    except Unauthenticated:
        return False
    return True


async def _ensure_root(installation: Installation) -> None:
    try:
        await installation.dispatcher.ask(GetTenant(name=ROOT_TENANT), OPERATOR, ROOT_TENANT)
    except NotFound:
        create = CreateTenant(name=ROOT_TENANT, title="Installation")
        await installation.dispatcher.execute(Call(create, OPERATOR, ROOT_TENANT))
