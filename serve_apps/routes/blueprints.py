"""Blueprints: read, replace, compare and check."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Annotated, Any, Literal, Self

from fastapi import Header, Query, Request
from pydantic import Field, ValidationError, model_validator
from starlette.responses import Response

from engine.forge.blueprint.canonical import canonical
from engine.forge.blueprint.diff import Change, diff
from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.problems import Problem as BlueprintFinding
from engine.forge.blueprint.schema import schema_text
from engine.forge.blueprint.source import load_data
from engine.forge.versions import (
    BlueprintHistory,
    BlueprintView,
    GetBlueprint,
    GetBlueprintHistory,
    SaveBlueprint,
    content_of,
)
from engine.kernel.contracts import View
from engine.kernel.errors import InvalidInput, PreconditionFailed, PreconditionRequired
from serve_apps.authentication import Reading, Session, Writing
from serve_apps.blueprints import read_data, read_text
from serve_apps.problems import UnsupportedMediaType, documented, invalid_request
from serve_apps.routes import new_router
from serve_apps.routes.answers import ETAG, answered, message
from serve_apps.routes.input import PlatformPath, RequestBody, Version

router = new_router("blueprints")
READ = documented(401, 403, 404, 422, 503)
CHECK = documented(401, 403, 404, 413, 422, 503)
YAML = "application/yaml"
YAML_TYPES = frozenset({YAML, "application/x-yaml", "text/yaml", "text/x-yaml"})
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')


class BlueprintContent(RequestBody):
    content: dict[str, Any] = Field(description="The whole Blueprint.")


class BlueprintToCheck(RequestBody):
    """A Blueprint as text, whose problems come with line and column, or as an object."""

    model_config = {
        "json_schema_extra": {"oneOf": [{"required": ["text"]}, {"required": ["content"]}]}
    }

    text: str = Field("", description="YAML or JSON.")
    content: dict[str, Any] = {}

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if len(self.model_fields_set & {"text", "content"}) != 1:
            raise ValueError("give either text or content")
        return self


class BlueprintPair(RequestBody):
    old: dict[str, Any]
    new: dict[str, Any]


class BlueprintProblem(BlueprintFinding):
    pass


class Validation(View):
    """A valid Blueprint in its canonical form; an invalid one is answered as a problem."""

    valid: Literal[True]
    warnings: list[BlueprintProblem]
    blueprint: dict[str, Any]


class BlueprintChange(Change):
    pass


class Changes(View):
    changes: list[BlueprintChange]


@router.get(
    "/platforms/{name}/blueprint",
    response_model=BlueprintView,
    responses={
        200: {"content": {YAML: _TEXT}, "headers": ETAG},
        304: {"description": "It still has the digest in `If-None-Match`."},
        **READ,
    },
    openapi_extra=message(GetBlueprint),
)
async def get_blueprint(
    name: PlatformPath,
    session: Reading,
    version: Version = None,
    accept: Annotated[str, Header()] = "application/json",
    if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> Response:
    """The platform's Blueprint, now or as it was; with `Accept: application/yaml` as YAML."""
    view = await session.ask(BlueprintView, GetBlueprint(platform=name, version=version))
    headers = {"etag": f'"{view.digest}"', "vary": "accept"}
    if if_none_match and view.digest in [tag for _, tag in _ENTITY_TAG.findall(if_none_match)]:
        return Response(status_code=304, headers=headers)
    if any(kind in accept.lower() for kind in YAML_TYPES):
        text = canonical(await read_data(view.content))
        return Response(text, headers=headers, media_type=YAML)
    return answered(view, headers=headers)


@router.put(
    "/platforms/{name}/blueprint",
    response_model=BlueprintView,
    responses={
        200: {"headers": ETAG},
        **documented(401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503),
    },
    openapi_extra={
        **message(SaveBlueprint),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["content"],
                        "additionalProperties": False,
                        "properties": {"content": {"type": "object"}},
                    }
                },
                YAML: _TEXT,
            },
        },
    },
)
async def save_blueprint(
    name: PlatformPath,
    session: Writing,
    request: Request,
    if_match: Annotated[
        str | None,
        Header(max_length=200, description="The ETag that was read, or `*`. Required."),
    ] = None,
) -> Response:
    """Replace the Blueprint. Nothing is built yet. Only JSON bodies and YAML text are taken."""
    await session.require(SaveBlueprint.permission)
    expected = await _expected(session, name, if_match)
    content = await _content(request)
    command = SaveBlueprint(platform=name, content=content, expected=expected)
    view = await session.tell(BlueprintView, command)
    return answered(view, headers={"etag": f'"{view.digest}"'})


async def _expected(session: Session, platform: str, if_match: str | None) -> str | None:
    """The digest in `If-Match`; None for `*`."""
    if if_match is None:
        raise PreconditionRequired(
            "`If-Match` is missing.", mend="Send the ETag of the Blueprint that you changed."
        )
    if if_match.strip() == "*":
        return None
    match = _ENTITY_TAG.fullmatch(if_match.strip())
    if match is None:
        raise InvalidInput("If-Match: that is no entity tag.", mend='Write it as "<digest>".')
    if match[1]:
        raise PreconditionFailed("A weak entity tag never matches here.", mend="Send the ETag.")
    return match[2]


async def _content(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind in YAML_TYPES:
        return content_of((await read_text(body)).blueprint)
    if kind != "application/json":
        raise UnsupportedMediaType(
            "The body is neither JSON nor YAML.", mend=f"Send application/json or {YAML}."
        )
    try:
        parsed = BlueprintContent.model_validate(json.loads(body))
    except ValidationError as error:
        errors = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise invalid_request(errors) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The body is no JSON that can be read.") from error
    return content_of(await read_data(parsed.content))


@router.get(
    "/platforms/{name}/blueprint/versions",
    response_model=BlueprintHistory,
    responses=READ,
    openapi_extra=message(GetBlueprintHistory),
)
async def list_blueprint_versions(name: PlatformPath, session: Reading) -> Response:
    """Every version of the Blueprint, oldest first."""
    return answered(await session.ask(BlueprintHistory, GetBlueprintHistory(platform=name)))


@router.get(
    "/platforms/{name}/blueprint/diff",
    response_model=Changes,
    responses=READ,
    openapi_extra=message(GetBlueprint),
)
async def diff_blueprint_versions(
    name: PlatformPath,
    session: Reading,
    old: Annotated[Version, Query(alias="from", description="Default: the one before.")] = None,
    new: Annotated[Version, Query(alias="to", description="Default: the newest.")] = None,
) -> Response:
    """What changed between two versions of the platform's Blueprint, in its own words."""
    later = await session.ask(BlueprintView, GetBlueprint(platform=name, version=new))
    before = old or max(1, later.version - 1)
    earlier = await session.ask(BlueprintView, GetBlueprint(platform=name, version=before))
    return answered(await asyncio.to_thread(_changes, earlier.content, later.content))


@router.post(
    "/blueprints/validate",
    response_model=Validation,
    responses=CHECK,
    openapi_extra=message(GetBlueprint),
)
async def validate_blueprint(body: BlueprintToCheck, session: Reading) -> Response:
    """Check a Blueprint. Nothing is stored. An invalid one is answered with 422 and the places."""
    await session.require(GetBlueprint.permission)
    warnings: list[BlueprintProblem] = []
    if "text" in body.model_fields_set:
        loaded = await read_text(body.text)
        blueprint = loaded.blueprint
        warnings = [BlueprintProblem(**dict(each)) for each in loaded.warnings]
    else:
        blueprint = await read_data(body.content)
    content = content_of(blueprint)
    return answered(Validation(valid=True, warnings=warnings, blueprint=content))


@router.post(
    "/blueprints/diff",
    response_model=Changes,
    responses=CHECK,
    openapi_extra=message(GetBlueprint),
)
async def diff_blueprints(body: BlueprintPair, session: Reading) -> Response:
    """What changed between two Blueprints, in their own words. Nothing is stored."""
    await session.require(GetBlueprint.permission)
    return answered(await asyncio.to_thread(_changes, body.old, body.new))


def _changes(old: dict[str, Any], new: dict[str, Any]) -> Changes:
    found = diff(_side("old", old), _side("new", new))
    return Changes(changes=[BlueprintChange(**dict(each)) for each in found])


def _side(name: str, content: dict[str, Any]) -> Blueprint:
    try:
        return load_data(content)
    except InvalidInput as error:
        errors = [
            {**each, "path": f"/{name}{each['path']}"} for each in error.fields.get("errors", [])
        ]
        fields = {**error.fields, "errors": errors}
        raise InvalidInput(f"{name}: {error.detail}", mend=error.mend, **fields) from error


@router.get("/schemas/blueprint", response_model=dict[str, Any])
async def get_blueprint_schema() -> Response:
    """The JSON Schema (draft 2020-12) of Blueprints. Needs no token."""
    return Response(schema_text(), media_type="application/json")
