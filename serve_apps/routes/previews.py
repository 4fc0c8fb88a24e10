"""The platforms' own interfaces, below `/p/`. They ask for their own credentials, not ours."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.kernel.errors import NotFound
from engine.kernel.ids import SLUG
from serve_apps.forwarding import Target, raw_path
from serve_apps.services import services_of

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
PATH = "/p/{tenant}/{platform}/{path:path}"
BARE_PATH = "/p/{tenant}/{platform}"


async def forward(request: Request) -> Response:
    services = services_of(request)
    tenant, platform = _names(request)
    target = Target(tenant, platform, raw_path(request), services.base_url(request))
    return await services.previews.forward(request, target)


async def add_slash(request: Request) -> Response:
    """Relative links of a platform's pages need the slash at the end."""
    tenant, platform = _names(request)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/p/{tenant}/{platform}/{query}", 308)


def _names(request: Request) -> tuple[str, str]:
    names = request.path_params["tenant"], request.path_params["platform"]
    if not all(len(name) <= 40 and SLUG.fullmatch(name) for name in names):
        raise NotFound("There is no such platform.")
    return names
