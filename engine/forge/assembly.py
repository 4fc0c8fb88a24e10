"""From a Blueprint to the whole project: backend, frontend and tests, as parts that can be rendered
anywhere and put together in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.forge import testing
from engine.forge.blueprint.canonical import canonical
from engine.forge.blueprint.model import Blueprint, Stack
from engine.forge.generate import WEB, assemble, find_frontend, find_target, frontend_names
from engine.forge.resolve import ResolvedPlatform, resolve
from engine.forge.targets.contract import Unit
from engine.kernel.errors import InvalidInput
from engine.runtime.workspace import Bundle

TESTS = "tests/"


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
