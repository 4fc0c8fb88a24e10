"""The React target: React, TypeScript, Tailwind and TanStack Query, built by Vite, under `web/`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from engine.forge.resolve import ResolvedPlatform
from engine.forge.targets.contract import Unit
from engine.forge.targets.react.entity_view import entity_files
from engine.forge.targets.react.project_view import project_files

ROOT = "web"
_TEMPLATES = Path(__file__).parent / "templates"


class ReactTarget:
    """A unit for what every platform has, one for the platform and one for each entity.

    The files that are the same for every platform are kept as they are, the package and its lock
    among them, so that all platforms share one cached `node_modules`.
    """

    name = "react"
    version = "1.0.0"

    def modules(self, platform: ResolvedPlatform) -> list[Unit]:
        return [
            Unit(f"{ROOT}/project", platform, None, ("",)),
            *(
                Unit(
                    f"{ROOT}/entity/{entity.snake}",
                    platform,
                    entity.name,
                    (f"entities.{entity.name}",),
                )
                for entity in platform.entities
            ),
        ]

    def render(self, unit: Unit) -> dict[str, str]:
        if unit.entity is None:
            made = project_files(unit.platform)
            return {**_kept(), **{f"{ROOT}/src/{path}": text for path, text in made.items()}}
        entity = unit.platform.entity(unit.entity)
        folder = f"{ROOT}/src/features/{entity.route}"
        made = entity_files(unit.platform, entity)
        return {f"{folder}/{name}": text for name, text in made.items()}

    def finish(self, files: Mapping[str, str]) -> dict[str, str]:
        """Nothing is left to do: every file is written the way Prettier would."""
        return dict(files)


@cache
def _kept() -> dict[str, str]:
    return {
        path.relative_to(_TEMPLATES).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(_TEMPLATES.rglob("*"))
        if path.is_file()
    }
