"""The files of the generated tests."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from engine.forge.blueprint.source import load
from engine.forge.resolve import ResolvedPlatform, resolve
from engine.forge.testing import generate_tests, render, suites, units
from engine.kernel.errors import InvalidInput

ROOT = Path(__file__).parents[3]
FILES = sorted(
    [ROOT / "examples/clinic.yaml", *(ROOT / "tests/integration/blueprints").glob("*.yaml")]
)


def platform_of(path: Path) -> ResolvedPlatform:
    return resolve(load(path.read_text(encoding="utf-8")).blueprint)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def platform(request: pytest.FixtureRequest) -> ResolvedPlatform:
    return platform_of(request.param)


def test_every_file_is_python_that_fits_the_page(platform: ResolvedPlatform) -> None:
    for path, text in generate_tests(platform).items():
        ast.parse(text, filename=path)
        assert max(map(len, text.splitlines()), default=0) <= 100, path


def test_files_are_as_the_formatter_and_the_linter_want_them(
    platform: ResolvedPlatform, tmp_path: Path
) -> None:
    for path, text in generate_tests(platform).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    for command in (
        ["format", "--check", "--diff"],
        [
            "check",
            "--select=A,ARG,ASYNC,B,C4,E,F,I,N,PT,RET,RUF,SIM,UP,W",
            "--config=lint.isort.known-first-party=['app']",
        ],
    ):
        argv = ["ruff", *command, "--isolated", "--no-cache", "--line-length=100", "."]
        run = subprocess.run(
            [sys.executable, "-m", *argv], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_units_make_up_the_whole_without_overlap(platform: ResolvedPlatform) -> None:
    rendered = [render(platform, unit) for unit in units(platform)]

    together = {path: text for part in rendered for path, text in part.items()}
    assert sum(map(len, rendered)) == len(together)
    assert together == generate_tests(platform)


def test_every_suite_has_its_files(platform: ResolvedPlatform) -> None:
    paths = generate_tests(platform)
    tests = {path for path in paths if path.rpartition("/")[2].startswith("test_")}

    chosen = [
        {path for path in tests if path.startswith(tuple(f"{root}/" for root in suite.paths))}
        for suite in suites(platform)
    ]

    assert all(chosen)
    assert set().union(*chosen) == tests
    assert sum(map(len, chosen)) == len(tests)


def test_output_does_not_depend_on_the_process() -> None:
    script = (
        "import hashlib; from pathlib import Path;"
        "from engine.forge.blueprint.source import load; from engine.forge.resolve import resolve;"
        "from engine.forge.testing import generate_tests;"
        f"text = Path({str(FILES[0])!r}).read_text(encoding='utf-8');"
        "files = generate_tests(resolve(load(text).blueprint));"
        "print(hashlib.sha256(repr(files).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed, locale, zone in (("1", "C", "UTC"), ("2", "C.UTF-8", "Asia/Riyadh"))
    }

    assert len(digests) == 1


def test_pattern_without_an_example_names_its_place() -> None:
    text = (ROOT / "examples/clinic.yaml").read_text(encoding="utf-8")
    blueprint = load(text.replace("[A-Z]{2}-[0-9]{4,8}", "[A-Z]{300}")).blueprint

    with pytest.raises(InvalidInput) as raised:
        generate_tests(resolve(blueprint))

    assert raised.value.fields["path"] == "entities.Doctor.fields.license_number.pattern"
