"""API tokens of the tenant: issue, list, revoke."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field
from starlette.responses import Response

from engine.kernel.personal import SubjectId
from engine.trust.tokens import (
    PERMISSIONS,
    IssueToken,
    Label,
    ListTokens,
    RevokeToken,
    TokenList,
    TokenView,
    draw,
)
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, message
from serve_apps.routes.input import After, Limit, RequestBody, TokenPath

router = new_router("tokens", "/tokens")
WRITE = documented(401, 403, 404, 409, 413, 422, 429, 503)

_AREAS = sorted({f"{name.partition('.')[0]}.*" for name in PERMISSIONS})
GRANTABLE = (*PERMISSIONS, *_AREAS, "*")


def _known(permission: str) -> str:
    if permission not in GRANTABLE:
        raise ValueError(f"there is no such permission; there are: {', '.join(GRANTABLE)}")
    return permission


def _to_come(instant: datetime) -> datetime:
    if instant <= datetime.now(UTC):
        raise ValueError("the instant is past")
    return instant


Permission = Annotated[
    str, AfterValidator(_known), Field(json_schema_extra={"enum": list(GRANTABLE)})
]


class NewToken(RequestBody):
    subject: SubjectId | None = Field(
        None,
        description="Whose personal data the label is, a pseudonym; left out: the token's own.",
        examples=["user:0198c3"],
    )
    label: Label = Field(examples=["deployment"])
    permissions: list[Permission] = Field(
        min_length=1, max_length=50, examples=[["platform.*", "run.read"]]
    )
    expires_at: Annotated[AwareDatetime, AfterValidator(_to_come)] | None = Field(
        None, description="With its time zone; null: never.", examples=["2030-01-01T00:00:00Z"]
    )


class TokenIssued(TokenView):
    """The token, shown this once: null in a repetition."""

    token: str | None


@router.post(
    "",
    status_code=201,
    response_model=TokenIssued,
    responses=WRITE,
    openapi_extra=message(IssueToken),
)
async def issue_token(body: NewToken, session: Writing) -> Response:
    """Issue a token with some of the caller's own permissions."""
    id, digest, token = draw(session.tenant)
    command = IssueToken(id=id, secret_sha256=digest, **body.model_dump())
    issued = await session.tell(TokenView, command)
    shown = token.reveal() if issued.id == id else None
    view = TokenIssued(**issued.model_dump(), token=shown)
    return answered(view, 201, {"cache-control": "no-store"})


@router.get(
    "",
    response_model=TokenList,
    responses=documented(401, 403, 404, 422, 503),
    openapi_extra=message(ListTokens),
)
async def list_tokens(session: Reading, after: After = None, limit: Limit = 50) -> Response:
    """The tenant's tokens, oldest first, without their secrets."""
    return answered(await session.ask(TokenList, ListTokens(after=after, limit=limit)))


@router.delete(
    "/{id}", response_model=TokenView, responses=WRITE, openapi_extra=message(RevokeToken)
)
async def revoke_token(id: TokenPath, session: Writing) -> Response:
    """Revoke a token at once and for ever. Doing it again changes nothing."""
    return answered(await session.tell(TokenView, RevokeToken(id=id)))
