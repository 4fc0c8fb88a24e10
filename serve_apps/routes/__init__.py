"""The routes of the API, one module for each noun."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.routing import APIRoute

PREFIX = "/api/v1"


def new_router(tag: str, path: str = "") -> APIRouter:
    """A router for one noun below `PREFIX`. Operations are called like their functions."""
    return APIRouter(prefix=PREFIX + path, tags=[tag], generate_unique_id_function=_name)


def _name(route: APIRoute) -> str:
    return route.name
