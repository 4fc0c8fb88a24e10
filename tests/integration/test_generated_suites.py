"""Generated platforms pass their own tests, and those tests notice when a platform is wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.forge.blueprint.source import load
from engine.forge.resolve import resolve
from engine.forge.testing import Suite, suites
from engine.runtime.dependencies import Environment
from tests.integration.generated import TIMEOUT_SECONDS, run, write_project

ROOT = Path(__file__).parents[2]
CLINIC = ROOT / "examples" / "clinic.yaml"
NASTY = sorted((Path(__file__).parent / "blueprints").glob("*.yaml"))


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example platform as it is generated; tests change copies of it."""
    return write_project(CLINIC, tmp_path_factory.mktemp("clinic"))


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A platform with guards, unique sets and a search."""
    return write_project(NASTY[-1], tmp_path_factory.mktemp("together"))


@pytest.mark.parametrize("blueprint", [CLINIC, *NASTY], ids=lambda path: path.stem)
def test_generated_platform_passes_its_tests(
    blueprint: Path, tmp_path: Path, environment: Environment
) -> None:
    project = write_project(blueprint, tmp_path)
    wanted = suites(resolve(load(blueprint.read_text("utf-8")).blueprint))

    with ThreadPoolExecutor(len(wanted)) as pool:
        reports = list(pool.map(lambda suite: run(project, suite, environment), wanted))

    for suite, report in zip(wanted, reports, strict=True):
        assert report.failures == [], suite.name
        assert report.skipped == 0, suite.name
        assert report.green, suite.name


def test_generated_tests_are_as_clean_as_the_project_demands(
    tmp_path: Path, environment: Environment
) -> None:
    project = write_project(NASTY[-1], tmp_path)
    for command in (
        ["ruff", "check", "--no-cache", "tests"],
        ["ruff", "format", "--no-cache", "--check", "tests"],
        ["mypy", f"--python-executable={environment.python}", "--cache-dir=.mypy", "tests"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Mutation:
    """A mistake: in this file, text that matches is replaced; these tests must notice."""

    name: str
    file: str
    pattern: str
    replacement: str
    noticed_by: str
    platform: str = "clinic"


MUTATIONS = [
    Mutation(
        "list answers nothing",
        "routes/patient.py",
        r"    rows, total = fetch_page\([^)]*\)[^)]*\)",
        "    rows, total = [], 0",
        "integration/test_lists.py",
    ),
    Mutation(
        "get answers the first record",
        "records.py",
        r"\.where\(model\.id == record_id\)",
        "",
        "integration/test_records.py",
    ),
    Mutation(
        "create stores nothing",
        "routes/doctor.py",
        r"    records\.save\(session, record\)\n    location",
        "    session.add(record)\n    session.flush()\n    location",
        "integration/test_records.py",
    ),
    Mutation(
        "update stores nothing",
        "routes/doctor.py",
        r"    records\.assign\(session, grant\.user, record, changes, REFERENCES\)\n",
        "",
        "integration/test_records.py",
    ),
    Mutation(
        "delete deletes nothing",
        "routes/patient.py",
        r"    records\.remove\(session, record\)\n",
        "",
        "integration/test_records.py",
    ),
    Mutation(
        "create answers 200",
        "routes/appointment.py",
        r"status_code=201",
        "status_code=200",
        "integration/test_records.py",
    ),
    Mutation(
        "own rows are not told from those of others",
        "policies.py",
        r"return rows if self\.scope is Scope\.ALL else .*",
        "return rows",
        "authorization/test_matrix.py",
    ),
    Mutation(
        "a role has a right too many",
        "policies.py",
        r"(Doctor: \{\n        Role\.RECEPTIONIST: \{\n)",
        r"\1            Verb.DELETE: Scope.ALL,\n",
        "authorization/test_matrix.py",
    ),
    Mutation(
        "a role has a right too few",
        "policies.py",
        r"(Verb\.CREATE: Scope\.ALL,\n            )Verb\.READ: Scope\.OWN,",
        r"\1",
        "authorization/test_matrix.py",
    ),
    Mutation(
        "rights are not looked at",
        "policies.py",
        r"        if found is None:\n            raise Forbidden.*\{verb\}.*\n        return found",
        "        return found or Grant(user, Scope.ALL)",
        "authorization/test_matrix.py",
    ),
    Mutation(
        "anybody manages users",
        "policies.py",
        r"    if user\.role is not Role\.ADMIN:\n        raise Forbidden\(\"Only",
        '    if user is None:\n        raise Forbidden("Only',
        "authorization/test_accounts.py",
    ),
    Mutation(
        "references reach what the caller can't read",
        "records.py",
        r"if len\(found\) < len\(ids\):",
        "if grant is None:",
        "authorization/test_relations.py",
    ),
    Mutation(
        "transitions ignore the state",
        "records.py",
        r"if state not in transition\.sources:",
        "if state is None:",
        "lifecycle",
    ),
    Mutation(
        "transitions ignore the role",
        "policies.py",
        r"found is None or user\.role not in \{Role\.ADMIN, \*transition\.roles\}",
        "found is None",
        "authorization/test_transitions.py",
    ),
    Mutation(
        "a transition leads elsewhere",
        "routes/appointment.py",
        r"target=AppointmentStatus\.COMPLETED",
        "target=AppointmentStatus.CANCELLED",
        "lifecycle",
    ),
    Mutation(
        "a value may be taken twice",
        "migrations/versions/0001_initial.py",
        r"        sa\.UniqueConstraint\(\"phone\", name=\"uq_patients_phone\"\),\n",
        "",
        "integration/test_records.py",
    ),
    Mutation(
        "deletion takes rows that should hold it back",
        "migrations/versions/0001_initial.py",
        r"ondelete=\"RESTRICT\"",
        'ondelete="CASCADE"',
        "integration/test_relations.py",
    ),
    Mutation(
        "a limit is one too generous",
        "schemas/appointment.py",
        r"ge=5, le=240",
        "ge=4, le=240",
        "validation",
    ),
    Mutation(
        "a limit is one too strict",
        "schemas/appointment.py",
        r"max_length=2000",
        "max_length=1999",
        "validation",
    ),
    Mutation(
        "a pattern is not looked at",
        "schemas/doctor.py",
        r", pattern=[^)]*\)",
        ")",
        "validation",
    ),
    Mutation(
        "unknown fields are taken",
        "schemas/base.py",
        r'extra="forbid"',
        'extra="ignore"',
        "validation",
    ),
    Mutation(
        "the order is the wrong way round",
        "pagination.py",
        r"column\.desc\(\) if key\.startswith\(\"-\"\) else column\.asc\(\)",
        'column.asc() if key.startswith("-") else column.desc()',
        "integration/test_lists.py",
    ),
    Mutation(
        "filters are ignored",
        "pagination.py",
        r"        rows = rows\.where\(.*\)\n",
        "        del name, operator, value\n",
        "integration/test_lists.py",
    ),
    Mutation(
        "pages do not move on",
        "pagination.py",
        r"\.offset\(query\.offset\)",
        "",
        "integration/test_lists.py",
    ),
    Mutation(
        "the total counts the page",
        "pagination.py",
        r"return list\(session\.scalars\(page\)\), total",
        "found = list(session.scalars(page))\n    return found, min(total, len(found))",
        "integration/test_lists.py",
    ),
    Mutation(
        "any password signs in",
        "routes/auth.py",
        r"user is None or not matches",
        "user is None",
        "integration/test_accounts.py",
    ),
    Mutation(
        "tokens are not verified",
        "security.py",
        r"options=\{",
        'options={"verify_signature": False, ',
        "unit/test_security.py",
    ),
    Mutation(
        "people sign up as administrators",
        "schemas/user.py",
        r"role: OpenRole",
        "role: Role",
        "integration/test_accounts.py",
    ),
    Mutation(
        "guards are not asked",
        "records.py",
        r"transition\.guard is not None and",
        "False and transition.guard is not None and",
        "lifecycle",
        "together",
    ),
    Mutation(
        "a guard asks for one thing less",
        "routes/booking.py",
        r"        record\.kind == \"double\"\n        and ",
        "        ",
        "lifecycle",
        "together",
    ),
    Mutation(
        "a unique set is kept by nobody",
        "migrations/versions/0001_initial.py",
        r"        sa\.UniqueConstraint\(\"chamber_id\", \"starts_at\"[^)]*\),\n",
        "",
        "integration/test_records.py",
        "together",
    ),
    Mutation(
        "a unique set has a member less",
        "migrations/versions/0001_initial.py",
        r"sa\.UniqueConstraint\(\"chamber_id\", \"starts_at\"",
        'sa.UniqueConstraint("starts_at"',
        "integration/test_records.py",
        "together",
    ),
    Mutation(
        "a search is content with any word",
        "pagination.py",
        r"split\(\)\[:MOST_WORDS\]",
        "split()[:1]",
        "integration/test_lists.py",
        "together",
    ),
    Mutation(
        "a computed field says another value",
        "models/booking.py",
        r"\* -5",
        "* -4",
        "integration/test_computed.py",
        "together",
    ),
    Mutation(
        "a computed zero is below zero",
        "fields.py",
        r"value or abs\(value\)",
        "value",
        "integration/test_computed.py",
        "together",
    ),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mistake_is_noticed(
    mutation: Mutation, clinic: Path, together: Path, tmp_path: Path, environment: Environment
) -> None:
    project = tmp_path / "project"
    shutil.copytree({"clinic": clinic, "together": together}[mutation.platform], project)
    file = project / "app" / mutation.file
    before = file.read_text("utf-8")
    after = re.sub(mutation.pattern, mutation.replacement, before)
    assert after != before, "the mutation no longer fits the generated code"
    file.write_text(after, "utf-8")
    suite = Suite("mutation", (f"tests/{mutation.noticed_by}",))

    report = run(project, suite, environment, "-x")

    assert report.failed > 0
