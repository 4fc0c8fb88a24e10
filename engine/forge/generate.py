"""Generation: a Blueprint in, the files of a project out. No server, no database, no clock.

Backend, frontend and tests are parts that can be rendered anywhere and put together in one place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from engine.forge import testing
from engine.forge.blueprint.canonical import canonical
from engine.forge.blueprint.model import Blueprint, Stack
from engine.forge.resolve import ResolvedPlatform, resolve
from engine.forge.targets.contract import BackendTarget, FrontendTarget, Unit
from engine.forge.targets.identity import identity
from engine.kernel.errors import InvalidInput, StepFailed
from engine.kernel.plugins import Registry
from engine.runtime.workspace import Bundle

MANIFEST = ".webnova/manifest.json"
BLUEPRINT = "blueprint.yaml"
MANIFEST_VERSION = 1
TESTS = "tests/"

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
    frontend = find_frontend(platform)
    entries = {}
    for path, content in sorted(files.items()):
        unit = origins.get(path)
        target = frontend if frontend and path.startswith(WEB) else backend
        entries[path] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "id": identity(target, unit, path) if unit else BLUEPRINT,
            "unit": unit.name if unit else "blueprint",
            "trace": list(unit.trace) if unit else [""],
        }
    if len({entry["id"] for entry in entries.values()}) < len(entries):
        raise StepFailed("Two generated files are told to be the same.")
    manifest = {
        "version": MANIFEST_VERSION,
        "platform": platform.name,
        "target": {"name": backend.name, "version": backend.version},
    }
    if frontend:
        manifest["frontend"] = {"name": frontend.name, "version": frontend.version}
    manifest["files"] = entries
    return (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode()


def parts(blueprint: Blueprint, history: Sequence[Blueprint] = ()) -> list[Unit]:
    """Everything that there is to render, the backend's units first. No two share a file.

    `history` holds the earlier Blueprints that the platform's database has grown through, oldest
    first. Raises `InvalidInput` for a change that the data can't follow.
    """
    platform = resolve(blueprint)
    earlier = [resolve(each) for each in history]
    backend = find_target(blueprint.stack.backend).modules(platform, earlier)
    frontend = find_frontend(platform)
    pages = frontend.modules(platform) if frontend else []
    return [*backend, *pages, *(_test_unit(platform, unit) for unit in testing.units(platform))]


def _test_unit(platform: ResolvedPlatform, unit: testing.Unit) -> Unit:
    trace = (f"entities.{unit.entity}",) if unit.entity else ("",)
    return Unit(name=f"{TESTS}{unit.name}", platform=platform, entity=unit.entity, trace=trace)


def render(blueprint: Blueprint, units: Sequence[Unit]) -> dict[str, dict[str, str]]:
    """The files of the units, under each unit's name."""
    target = find_target(blueprint.stack.backend)
    rendered = {}
    for unit in units:
        if unit.name.startswith(TESTS):
            wanted = testing.Unit(unit.name.removeprefix(TESTS), unit.entity)
            rendered[unit.name] = testing.render(unit.platform, wanted)
        elif (frontend := find_frontend(unit.platform)) and unit.name.startswith(WEB):
            rendered[unit.name] = frontend.render(unit)
        else:
            rendered[unit.name] = target.render(unit)
    return rendered


def join(
    blueprint: Blueprint, units: Sequence[Unit], rendered: Mapping[str, Mapping[str, str]]
) -> Bundle:
    """The finished project. The same Blueprint gives the same bytes, wherever it was rendered."""
    target = find_target(blueprint.stack.backend)
    platform = units[0].platform
    return Bundle(assemble(target, platform, units, rendered, canonical(blueprint)))


def with_frontend(blueprint: Blueprint, name: str) -> Blueprint:
    """The same Blueprint with other pages, or with `none`. Raises `InvalidInput` for others."""
    known = ("none", *frontend_names())
    if name not in known:
        raise InvalidInput(
            f"There is no frontend {name!r}.", mend=f"Use one of: {', '.join(known)}."
        )
    stack = Stack.model_validate({**blueprint.stack.model_dump(), "frontend": name})
    return blueprint.model_copy(update={"stack": stack})


def generate_project(blueprint: Blueprint) -> Bundle:
    """The whole project, in this process."""
    units = parts(blueprint)
    return join(blueprint, units, render(blueprint, units))
