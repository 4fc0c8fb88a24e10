"""Generated pages keep the rules of their own tools: Prettier, the strict type checker, ESLint."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.forge.blueprint.source import load
from engine.forge.generate import generate_project, with_frontend
from engine.forge.targets.react.typescript import Code, Value, constant, layout, string
from engine.kernel.errors import StepFailed
from engine.runtime.dependencies import DependencyCache, PackageCache
from engine.runtime.pages import with_pages
from engine.runtime.sandbox import choose_driver
from engine.runtime.workspace import Bundle
from tests.integration.react import BLUEPRINTS, CLINIC, EVERY_FEATURE, install, run, write_project

PRETTIER = "prettier/bin/prettier.cjs"
TSC = "typescript/bin/tsc"
ESLINT = "eslint/bin/eslint.js"
SOURCES = {path.stem: path for path in (CLINIC, EVERY_FEATURE, *sorted(BLUEPRINTS.glob("*.yaml")))}
EXTREMES = ("every_feature", "no-roles")
"""The most that a Blueprint can say, and the least: what is checked as a whole."""


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A directory with one project for each Blueprint."""
    root = tmp_path_factory.mktemp("pages")
    cache = Path(request.config.cache.mkdir("node"))
    for name, source in SOURCES.items():
        install(write_project(source, root / name) / "web", cache)
    return root


def test_prettier_changes_nothing(projects: Path) -> None:
    web = projects / "clinic" / "web"
    run(web, PRETTIER, "--check", ".", *(f"../../{name}/web" for name in SOURCES))


def test_prettier_agrees_with_the_layout_of_any_value(projects: Path) -> None:
    chance = random.Random(20)
    web = projects / "clinic" / "web"
    lines = []
    for index in range(400):
        name, value = f"{'v' * chance.randint(1, 40)}{index}", _value(chance, 3)
        head = f"export const {name} = "
        plain = isinstance(value, str)
        lines.append(
            constant(name, str(value)) if plain else f"{head}{layout(value, 0, len(head))};\n"
        )
    place = web / "src" / "values.ts"
    place.write_text("".join(lines), encoding="utf-8")
    try:
        run(web, PRETTIER, "--check", "src/values.ts")
    finally:
        place.unlink()


def _value(chance: random.Random, depth: int) -> Value:
    names = ["a", "kind", "roles", "label", "a_name_that_is_rather_long", "path"]
    size = chance.randint(0, 5)
    match chance.randint(0, 4 if depth else 2):
        case 0:
            return chance.choice([True, False, 7, Code("enums.Kind")])
        case 1 | 2:
            return "".join(chance.choice("abc '\"\\é\u0639\U0001f600") for _ in range(size * 9))
        case 3:
            return {name: _value(chance, depth - 1) for name in names[:size]}
        case _:
            strings: Value = [chance.choice(names) * chance.randint(1, 3) for _ in range(size * 2)]
            objects: Value = [
                {name: chance.choice(names) for name in names[:size]} for _ in range(size)
            ]
            return chance.choice([strings, objects])


def test_a_string_is_the_same_text_in_javascript(projects: Path) -> None:
    texts = ["", "'\"", '""', "\\", "\n\t\x00", "\u2028", "\u202e", "\U0001f600", "عيادة"]
    place = projects / "clinic" / "web" / "texts.mjs"
    checks = "".join(
        f"if ({string(text)} !== String.fromCodePoint({', '.join(str(ord(c)) for c in text)}))"
        " process.exit(1);\n"
        for text in texts
    )
    place.write_text(checks, encoding="ascii")
    try:
        run(place.parent, "../texts.mjs")
    finally:
        place.unlink()


@pytest.mark.parametrize("name", EXTREMES)
def test_the_types_are_right(projects: Path, name: str) -> None:
    run(projects / name / "web", TSC, "--noEmit")


@pytest.mark.parametrize("name", EXTREMES)
def test_the_linter_finds_nothing(projects: Path, name: str) -> None:
    run(projects / name / "web", ESLINT, ".", "--max-warnings", "0")


async def test_pages_are_built_in_the_sandbox_the_same_each_time(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    packages = _package_cache(request)
    driver = await choose_driver()
    project = _bundle(CLINIC)
    built = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        built.append(await with_pages(project, tmp_path / name, packages, driver))
    assert built[0].digest == built[1].digest
    page = built[0].files["web/dist/index.html"].decode()
    scripts = [path for path in built[0].files if path.endswith(".js") and "/dist/" in path]
    assert [path.removeprefix("web/dist/") in page for path in scripts] == [True]
    assert set(project.files) < set(built[0].files)


async def test_pages_that_cannot_be_built_say_why(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    project = _bundle(CLINIC)
    broken = Bundle({**project.files, "web/src/main.tsx": b"import nothing from './not-there';"})
    with pytest.raises(StepFailed, match="can't be built") as raised:
        await with_pages(broken, tmp_path, _package_cache(request), await choose_driver())
    assert "not-there" in str(raised.value.fields["log"])


def _bundle(source: Path) -> Bundle:
    return generate_project(with_frontend(load(source.read_bytes()).blueprint, "react"))


def _package_cache(request: pytest.FixtureRequest) -> PackageCache:
    environments = DependencyCache(Path(request.config.cache.mkdir("environments")))
    return PackageCache(Path(request.config.cache.mkdir("packages")), environments)
