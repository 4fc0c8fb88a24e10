"""The generated platform's own tests: which files there are, and which run together.

What differs between platforms is data (`tests/contract`, one module per entity); the tests that
are repeated over it are the same for each. Files can be rendered unit by unit, in any order and
on any machine, and come out the same to the byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from engine.forge.resolve import ResolvedPlatform
from engine.forge.testing.contract import application_module, entity_module, index_module
from engine.kernel.errors import InvalidInput

ROOT = "tests"
_SUFFIX = ".txt"
_FRAME = "frame"
# They take a quarter of the time of tests as short as these. The cache would need a writable
# project; what the application logs is caught with its other output.
_PLUGINS_LEFT_OUT = ("cacheprovider", "logging", "threadexception", "unraisableexception")


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of the tests that is rendered on its own: the frame, or one entity's promises."""

    name: str
    entity: str | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """Test files that run together in one process, apart from the other suites."""

    name: str
    paths: tuple[str, ...]

    def argv(self, report: str) -> tuple[str, ...]:
        """The arguments of Python that run it in the project's root and write JUnit XML there."""
        plugins = (part for name in _PLUGINS_LEFT_OUT for part in ("-p", f"no:{name}"))
        return ("-m", "pytest", "-q", *plugins, f"--junitxml={report}", *self.paths)


def units(platform: ResolvedPlatform) -> tuple[Unit, ...]:
    """Everything there is to render; the files of any two units are different files."""
    parts = (Unit(f"entity:{entity.name}", entity.name) for entity in platform.entities)
    return (Unit(_FRAME), *parts)


def render(platform: ResolvedPlatform, unit: Unit) -> dict[str, str]:
    """The files of one unit, by path in the generated project.

    Raises `InvalidInput` when a field's pattern admits no value that can be found.
    """
    if unit.entity is not None:
        entity = platform.entity(unit.entity)
        path = f"{ROOT}/contract/entities/{entity.module}.py"
        return {path: entity_module(platform, entity)}
    if unit.name != _FRAME:
        raise InvalidInput(f"The tests have no unit {unit.name!r}.")
    return dict(_frame()) | {
        f"{ROOT}/contract/__init__.py": index_module(platform),
        f"{ROOT}/unit/application.py": application_module(platform),
    }


def generate_tests(platform: ResolvedPlatform) -> dict[str, str]:
    """All test files of a platform, by path in the generated project, in order of path."""
    found: dict[str, str] = {}
    for unit in units(platform):
        found |= render(platform, unit)
    return dict(sorted(found.items()))


def suites(platform: ResolvedPlatform) -> list[Suite]:
    """The suites that may run beside each other. Each has at least one test.

    There are two, about equally long: every process pays for its own imports, which take as long
    as a hundred tests.
    """
    return [
        Suite("access", (f"{ROOT}/authorization", f"{ROOT}/lifecycle", f"{ROOT}/validation")),
        Suite("records", (f"{ROOT}/integration", f"{ROOT}/unit")),
    ]


@lru_cache(maxsize=1)
def _frame() -> tuple[tuple[str, str], ...]:
    """The files that are the same for every platform."""
    templates = files("engine.forge.testing") / "templates"
    found = dict(_texts(templates, ROOT))
    packages = {path.rpartition("/")[0] for path in found} | {f"{ROOT}/contract/entities"}
    found |= {f"{folder}/__init__.py": "" for folder in packages}
    return tuple(sorted(found.items()))


def _texts(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _texts(item, f"{path}/{item.name}")
        elif item.name.endswith(_SUFFIX):
            yield f"{path}/{item.name.removesuffix(_SUFFIX)}", item.read_text(encoding="utf-8")
