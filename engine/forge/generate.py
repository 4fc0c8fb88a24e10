"""Generation: a Blueprint in, the files of a project out. No server, no database, no clock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from engine.forge.blueprint.canonical import canonical
from engine.forge.blueprint.model import Blueprint
from engine.forge.resolve import ResolvedPlatform, resolve
from engine.forge.targets.contract import BackendTarget, FrontendTarget, Unit
from engine.kernel.errors import InvalidInput, StepFailed
from engine.kernel.plugins import Registry

MANIFEST = ".webnova/manifest.json"
BLUEPRINT = "blueprint.yaml"
MANIFEST_VERSION = 1

_TARGETS: Registry[BackendTarget] = Registry("backend_targets", BackendTarget)  # type: ignore[type-abstract]

_FRONTENDS: Registry[FrontendTarget] = Registry("frontend_targets", FrontendTarget)  # type: ignore[type-abstract]
WEB = "web/"
"""Where the files of a frontend are, and how the names of its units begin."""


def target_names() -> tuple[str, ...]:
    return tuple(_TARGETS)


def find_target(name: str) -> BackendTarget:
    """The target of this name. Raises `InvalidInput` for one that doesn't exist."""
    if name not in _TARGETS:
        raise InvalidInput(
            f"There is no target {name!r}.", mend=f"Use one of: {', '.join(_TARGETS)}."
        )
    return _TARGETS.get(name)


def frontend_names() -> tuple[str, ...]:
    return tuple(_FRONTENDS)


def find_frontend(platform: ResolvedPlatform) -> FrontendTarget | None:
    """What makes the pages of the platform; None when it has none."""
    return None if platform.frontend == "none" else _FRONTENDS.get(platform.frontend)


def generate(
    blueprint: Blueprint,
    target: str = "fastapi",
    *,
    source: str | None = None,
    history: Sequence[Blueprint] = (),
) -> dict[str, bytes]:
    """All files of the platform by relative POSIX path, in the order of their paths.

    `source` is the canonical text of the Blueprint, derived from it when left out. `history` holds
    the Blueprints that ran before, oldest first: the migrations lead from their database to the new
    one. The result depends on these and on the target's version only. Raises `InvalidInput` for a
    Blueprint that can't be laid out, or that the records of its history would not survive.
    """
    backend = find_target(target)
    platform = resolve(blueprint)
    units = backend.modules(platform, [resolve(earlier) for earlier in history])
    rendered = {unit.name: backend.render(unit) for unit in units}
    if frontend := find_frontend(platform):
        pages = frontend.modules(platform)
        rendered |= {unit.name: frontend.render(unit) for unit in pages}
        units += pages
    return assemble(backend, platform, units, rendered, source or canonical(blueprint))


def assemble(
    backend: BackendTarget,
    platform: ResolvedPlatform,
    units: Iterable[Unit],
    rendered: Mapping[str, Mapping[str, str]],
    source: str,
) -> dict[str, bytes]:
    """The project from its rendered units: formatted, with the Blueprint and the manifest.

    `rendered` holds each unit's files under its name, wherever they were rendered.
    """
    files: dict[str, str] = {}
    origins: dict[str, Unit] = {}
    for unit in units:
        for path, text in rendered[unit.name].items():
            if path in files:
                raise StepFailed(f"Two units render {path!r}.")
            files[path] = text
            origins[path] = unit
    finished = {path: text.encode() for path, text in _finish(backend, platform, files).items()}
    finished[BLUEPRINT] = source.encode()
    finished[MANIFEST] = _manifest(backend, platform, finished, origins)
    return dict(sorted(finished.items()))


def _finish(
    backend: BackendTarget, platform: ResolvedPlatform, files: Mapping[str, str]
) -> dict[str, str]:
    frontend = find_frontend(platform)
    if frontend is None:
        return backend.finish(files)
    pages = {path: text for path, text in files.items() if path.startswith(WEB)}
    rest = {path: text for path, text in files.items() if path not in pages}
    return {**backend.finish(rest), **frontend.finish(pages)}


def _manifest(
    backend: BackendTarget,
    platform: ResolvedPlatform,
    files: Mapping[str, bytes],
    origins: Mapping[str, Unit],
) -> bytes:
    entries = {}
    for path, content in sorted(files.items()):
        unit = origins.get(path)
        entries[path] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "unit": unit.name if unit else "blueprint",
            "trace": list(unit.trace) if unit else [""],
        }
    manifest = {
        "version": MANIFEST_VERSION,
        "platform": platform.name,
        "target": {"name": backend.name, "version": backend.version},
    }
    if frontend := find_frontend(platform):
        manifest["frontend"] = {"name": frontend.name, "version": frontend.version}
    manifest["files"] = entries
    return (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode()
