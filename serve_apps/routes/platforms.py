"""Platforms: create, look, build, roll back, watch."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import Header, Query, Request
from pydantic import BaseModel, Field, StringConstraints, model_validator
from starlette.responses import Response

from engine.conductor.platforms import PlatformAccepted as Accepted
from engine.conductor.platforms import PlatformList, PlatformName, PlatformView
from engine.conductor.requests import (
    BuildPlatform,
    CreatePlatform,
    GetPlatform,
    ListPlatforms,
    RollBackPlatform,
)
from engine.kernel.contracts import View
from engine.kernel.errors import Conflict, IdempotencyConflict
from serve_apps.authentication import Reading, Session, Writing
from serve_apps.blueprints import content_from
from serve_apps.events import event_stream, log_frames
from serve_apps.naming import candidates
from serve_apps.problems import documented
from serve_apps.routes import PREFIX, new_router
from serve_apps.routes.answers import answered, location, message
from serve_apps.routes.input import LARGEST_VERSION, After, Limit, PlatformPath, RequestBody
from serve_apps.services import Services, services_of

router = new_router("platforms", "/platforms")
READ = documented(401, 403, 404, 422, 503)
WRITE = documented(401, 403, 404, 409, 413, 422, 429, 503)
PATH = f"{PREFIX}/platforms"

Description = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)
]


class Platform(PlatformView):
    """A platform with the addresses it is reached at; null until its first release."""

    url: str | None
    docs_url: str | None


class PlatformPage(View):
    items: list[Platform]
    next: str | None = None


class PlatformAccepted(View):
    """The platform, and the id of the run that will bring it to the wished state."""

    platform: Platform
    run: str


class Credentials(View):
    """The platform's first administrator."""

    admin_email: str
    admin_password: str


class Logs(View):
    lines: list[str]


_FORMS = ("description", "blueprint", "blueprint_text")
_WISHES: dict[str, Any] = {
    "oneOf": [{"required": [form]} for form in _FORMS],
    "examples": [
        {"description": "A dental clinic with patients, doctors, appointments and invoices"},
        {"description": "عيادة أسنان فيها مرضى وأطباء ومواعيد وفواتير", "name": "smile"},
    ],
}


class NewPlatform(RequestBody):
    """What the platform shall be: a sentence, a Blueprint, or one as YAML or JSON text."""

    model_config = {"json_schema_extra": _WISHES}

    name: PlatformName | None = Field(None, description="Derived from the rest when left out.")
    description: Description = Field("", description="In Arabic or English.")
    blueprint: dict[str, Any] = Field({}, description="A Blueprint as an object.")
    blueprint_text: str = Field("", description="A Blueprint as YAML or JSON text.")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = self.model_fields_set & set(_FORMS)
        if len(given) != 1:
            raise ValueError("give exactly one of description, blueprint and blueprint_text")
        return self


class Build(RequestBody):
    """Without a Blueprint, the stored one is built."""

    blueprint: dict[str, Any] | None = None
    blueprint_text: str | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.blueprint is not None and self.blueprint_text is not None:
            raise ValueError("give blueprint or blueprint_text, not both")
        return self


class Rollback(RequestBody):
    version: int | None = Field(
        None, ge=1, le=LARGEST_VERSION, description="The release before the current one if null."
    )


@router.post(
    "",
    status_code=202,
    response_model=PlatformAccepted,
    responses={202: {"headers": location("The platform.")}, **WRITE},
    openapi_extra=message(CreatePlatform),
)
async def create_platform(body: NewPlatform, session: Writing, request: Request) -> Response:
    """Ask for a platform. The answer comes at once; the run then analyses, generates, tests and
    starts it."""
    services = services_of(request)
    await session.require(CreatePlatform.permission)
    if "description" in body.model_fields_set:
        accepted = await _create_described(body, session, services)
    else:
        text = body.blueprint_text if "blueprint_text" in body.model_fields_set else None
        content = await content_from(body.blueprint if text is None else None, text)
        assert content is not None
        name = body.name or content["name"]
        accepted = await session.tell(Accepted, CreatePlatform(name=name, blueprint=content))
    return _accepted(accepted, session, request, services)


async def _create_described(body: NewPlatform, session: Session, services: Services) -> Accepted:
    slug = await services.gateway.screen(body.description)
    if body.name is not None:
        command = CreatePlatform(name=body.name, description=body.description)
        return await session.tell(Accepted, command)
    taken: Conflict | None = None
    for name in candidates(slug, f"{session.tenant}/{session.key or session.trace}"):
        try:
            command = CreatePlatform(name=name, description=body.description)
            return await session.tell(Accepted, command)
        except IdempotencyConflict as error:
            # A repetition: the first call took one of the names that follow.
            taken = error
        except Conflict as error:
            taken = error
    assert taken is not None
    raise taken


@router.get("", response_model=PlatformPage, responses=READ, openapi_extra=message(ListPlatforms))
async def list_platforms(
    session: Reading, request: Request, after: After = None, limit: Limit = 50
) -> Response:
    """The tenant's platforms, by name."""
    found = await session.ask(PlatformList, ListPlatforms(after=after, limit=limit))
    base = services_of(request).base_url(request)
    items = [with_addresses(each, session.tenant, base) for each in found.items]
    return answered(PlatformPage(items=items, next=found.next))


@router.get("/{name}", response_model=Platform, responses=READ, openapi_extra=message(GetPlatform))
async def get_platform(name: PlatformPath, session: Reading, request: Request) -> Response:
    """One platform: its state, its addresses and its releases."""
    found = await session.ask(PlatformView, GetPlatform(name=name))
    base = services_of(request).base_url(request)
    return answered(with_addresses(found, session.tenant, base))


@router.post(
    "/{name}/builds",
    status_code=202,
    response_model=PlatformAccepted,
    responses={202: {"headers": location("The run.")}, **WRITE},
    openapi_extra=message(BuildPlatform),
)
async def build_platform(
    name: PlatformPath, session: Writing, request: Request, body: Build | None = None
) -> Response:
    """Build the platform anew. The running version goes on until the new one passed its tests."""
    services = services_of(request)
    await session.require(BuildPlatform.permission)
    wish = body or Build()
    if wish.blueprint is not None or wish.blueprint_text is not None:
        await session.require("blueprint.write")
    content = await content_from(wish.blueprint, wish.blueprint_text)
    accepted = await session.tell(Accepted, BuildPlatform(name=name, blueprint=content))
    return _accepted(accepted, session, request, services)


@router.post(
    "/{name}/rollback",
    status_code=202,
    response_model=PlatformAccepted,
    responses={202: {"headers": location("The run.")}, **WRITE},
    openapi_extra=message(RollBackPlatform),
)
async def roll_back_platform(
    name: PlatformPath, session: Writing, request: Request, body: Rollback | None = None
) -> Response:
    """Put an earlier release back into service."""
    command = RollBackPlatform(name=name, version=body.version if body else None)
    accepted = await session.tell(Accepted, command)
    return _accepted(accepted, session, request, services_of(request))


@router.get(
    "/{name}/logs",
    response_model=Logs,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **READ,
    },
    openapi_extra=message(GetPlatform),
)
async def get_platform_logs(
    name: PlatformPath,
    session: Reading,
    request: Request,
    lines: Annotated[int, Query(ge=1, le=5000)] = 200,
    follow: bool = False,
    last_event_id: Annotated[
        str | None, Header(pattern=r"^[0-9]{1,15}$", description="Where a stream broke off.")
    ] = None,
) -> Response:
    """What the platform's process wrote. With `follow`, a stream of server-sent events, one for
    each line."""
    services = services_of(request)
    await session.ask(PlatformView, GetPlatform(name=name))
    tenant = session.tenant
    if not follow:
        return answered(Logs(lines=await services.gateway.logs(tenant, name, lines)))

    async def read(offset: int) -> tuple[list[str], int]:
        return await services.gateway.logs_since(tenant, name, offset)

    offset = None if last_event_id is None else int(last_event_id)
    frames = log_frames(read, session.prove_again, offset=offset, lines=lines)
    return event_stream(frames, services.streams)


@router.get(
    "/{name}/credentials",
    response_model=Credentials,
    responses=READ,
    openapi_extra={**message(GetPlatform), "x-webnova-permission": "platform.credentials"},
)
async def get_platform_credentials(
    name: PlatformPath, session: Reading, request: Request
) -> Response:
    """The account of the platform's first administrator, to log in there."""
    await session.require("platform.credentials")
    await session.ask(PlatformView, GetPlatform(name=name))
    gateway = services_of(request).gateway
    email, password = gateway.credentials(session.tenant, name)
    view = Credentials(admin_email=email, admin_password=password)
    return answered(view, headers={"cache-control": "no-store"})


def with_addresses(view: PlatformView, tenant: str, base: str) -> Platform:
    url = None if view.version is None else f"{base}/p/{tenant}/{view.name}/"
    return Platform.model_construct(
        **dict(view), url=url, docs_url=None if url is None else f"{url}docs"
    )


def _accepted(
    accepted: Accepted, session: Session, request: Request, services: Services
) -> Response:
    services.gateway.nudge()
    platform = with_addresses(accepted.platform, session.tenant, services.base_url(request))
    created = request.url.path == PATH
    target = f"{PATH}/{platform.name}" if created else f"{PREFIX}/runs/{accepted.run}"
    view: BaseModel = PlatformAccepted(platform=platform, run=accepted.run)
    return answered(view, 202, {"location": target})
