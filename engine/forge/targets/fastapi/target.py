"""The FastAPI target: FastAPI, SQLAlchemy 2, Alembic and Pydantic 2 on SQLite or PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from engine.forge.expressions.printers import runtime
from engine.forge.resolve import ResolvedPlatform
from engine.forge.targets.contract import Unit
from engine.forge.targets.fastapi.entity_view import entity_view
from engine.forge.targets.fastapi.expressions import literal, phrase, prose
from engine.forge.targets.fastapi.migrations import migrations
from engine.forge.targets.fastapi.project_view import project_view
from engine.forge.targets.fastapi.samples import sample_rows
from engine.forge.targets.formatting import format_python

_TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".jinja"
_VERSIONS = "app/migrations/versions"
_PAGES = "app/pages.py"
"""Only a platform with a frontend serves one."""
_LOCK = Path(__file__).parent / "requirements.lock"
"""The same for every platform, so that all share one cached environment. `lock.in` says what it
is compiled from."""


class FastApiTarget:
    """A unit for the project as a whole, one for its sample records, and one for each entity."""

    name = "fastapi"
    version = "1.0.0"

    def modules(
        self, platform: ResolvedPlatform, history: Sequence[ResolvedPlatform] = ()
    ) -> list[Unit]:
        return [
            Unit("migrations", platform, None, ("entities",), tuple(history)),
            Unit("project", platform, None, ("",)),
            Unit("seeds", platform, None, ("entities",)),
            *(
                Unit(f"entity/{entity.snake}", platform, entity.name, (f"entities.{entity.name}",))
                for entity in platform.entities
            ),
        ]

    def render(self, unit: Unit) -> dict[str, str]:
        if unit.entity is not None:
            return _render_entity(unit.platform, unit.entity)
        match unit.name:
            case "migrations":
                return _render_migrations(unit.history, unit.platform)
            case "seeds":
                return _render_seeds(unit.platform)
            case _:
                return _render_project(unit.platform)

    def finish(self, files: Mapping[str, str]) -> dict[str, str]:
        return format_python(files)


def _render_project(platform: ResolvedPlatform) -> dict[str, str]:
    context = project_view(platform)
    paths = [path for path in _project_paths() if path != _PAGES or platform.frontend != "none"]
    files = {path: _render(f"project/{path}", context) for path in paths}
    guarded = any(move.guard for entity in platform.entities for move in entity.transitions)
    if guarded or any(entity.computed for entity in platform.entities):
        files["app/expressions.py"] = runtime("values.py")
    return {**files, "requirements.lock": _LOCK.read_text(encoding="utf-8")}


def _render_migrations(
    history: Sequence[ResolvedPlatform], platform: ResolvedPlatform
) -> dict[str, str]:
    return {
        f"{_VERSIONS}/{migration.file_name}": _render("migration.py", {"migration": migration})
        for migration in migrations(history, platform)
    }


def _render_seeds(platform: ResolvedPlatform) -> dict[str, str]:
    rows = sample_rows(platform)
    return {
        f"app/seeds/{entity.plural_snake}.json": json.dumps(
            rows[entity.name], ensure_ascii=False, indent=2
        )
        + "\n"
        for entity in platform.entities
    }


def _render_entity(platform: ResolvedPlatform, name: str) -> dict[str, str]:
    entity = platform.entity(name)
    context = entity_view(platform, entity)
    return {
        f"app/models/{entity.module}.py": _render("entity/model.py", context),
        f"app/schemas/{entity.module}.py": _render("entity/schema.py", context),
        f"app/routes/{entity.module}.py": _render("entity/route.py", context),
    }


def _render(template: str, context: Mapping[str, Any]) -> str:
    return _environment().get_template(template + _SUFFIX).render(context)


@cache
def _project_paths() -> tuple[str, ...]:
    """Every template of the project has the path of the file that it becomes."""
    root = _TEMPLATES / "project"
    found = [path for path in root.rglob(f"*{_SUFFIX}") if path.is_file()]
    return tuple(sorted(path.relative_to(root).as_posix().removesuffix(_SUFFIX) for path in found))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES, encoding="utf-8"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters["literal"] = literal
    environment.filters["phrase"] = phrase
    environment.filters["prose"] = prose
    return environment
