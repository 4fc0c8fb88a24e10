"""Subjects: the people that a tenant's data is about, and the erasure of what is kept of them."""

from __future__ import annotations

from pydantic import Field
from starlette.responses import Response

from engine.trust.erasure import EraseSubject, GetSubject, Grounds, SubjectView
from engine.trust.tenants import GetRecipient, RecipientView
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, message
from serve_apps.routes.input import RequestBody, SubjectPath

router = new_router("subjects", "/subjects")
READ = documented(401, 403, 404, 422, 503)


class NewErasure(RequestBody):
    reason: Grounds = Field(
        description="Kept in the clear for ever: name nobody.",
        examples=["Request of the person, article 17."],
    )


@router.get(
    "/recipient",
    response_model=RecipientView,
    responses=READ,
    openapi_extra=message(GetRecipient),
)
async def get_recipient(session: Reading) -> Response:
    """This installation's public key: an export for it can be read here, personal data and all."""
    return answered(await session.ask(RecipientView, GetRecipient()))


@router.get("/{id}", response_model=SubjectView, responses=READ, openapi_extra=message(GetSubject))
async def get_subject(id: SubjectPath, session: Reading) -> Response:
    """Whether personal data of a subject can be read, and when it was erased."""
    return answered(await session.ask(SubjectView, GetSubject(subject=id)))


@router.post(
    "/{id}/erasure",
    response_model=SubjectView,
    responses=documented(401, 403, 404, 409, 413, 422, 429, 503),
    openapi_extra=message(EraseSubject),
)
async def erase_subject(id: SubjectPath, body: NewErasure, session: Writing) -> Response:
    """Erase a subject's personal data for ever by destroying its key. Events and proofs stay; what
    they hold of the person can't be read again. Erasing again changes nothing."""
    return answered(await session.tell(SubjectView, EraseSubject(subject=id, reason=body.reason)))
