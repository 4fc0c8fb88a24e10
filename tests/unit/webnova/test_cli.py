"""The command line where nothing runs: usage, shapes, exit codes, and what people read."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from engine.forge.regeneration.outcome import Regeneration
from engine.kernel.errors import InvalidInput, WebNovaError, error_types
from webnova.cli import output as output_module
from webnova.cli import project_commands
from webnova.cli.app import app
from webnova.cli.command import command
from webnova.cli.exits import MEANINGS, ExitCode, exit_code
from webnova.cli.following import StepBoard, StepLine, Tracker, summary
from webnova.cli.output import Output, isolated, place_line, places, seconds
from webnova.cli.shapes import SHAPES, Diagnosis, Differences, Generated, Validity
from webnova.client.models import Event
from webnova.stack import local
from webnova.stack.home import Home
from webnova.stack.local import StackStatus

ROOT = Path(__file__).parents[3]
CLINIC = ROOT / "examples" / "clinic.yaml"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name in list(os.environ):
        if name.startswith("WEBNOVA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WEBNOVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LANG", "C.UTF-8")

    def invoke(*words: str, input: str | bytes | None = None) -> Any:
        return CliRunner().invoke(app, list(words), input=input, catch_exceptions=False)

    return invoke


def all_commands(group: Any = None) -> list[list[str]]:
    found: list[list[str]] = []
    for name, part in (group or typer.main.get_command(app)).commands.items():
        inner = all_commands(part) if hasattr(part, "commands") else [[]]
        found += [[name, *words] for words in inner]
    return found


@pytest.mark.parametrize("words", all_commands(), ids=" ".join)
def test_every_command_explains_itself_and_takes_json(run: Any, words: list[str]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_every_command_with_a_result_has_a_shape() -> None:
    without = {"blueprint show", "job stop", "job env", "shapes"}
    assert {" ".join(words) for words in all_commands()} - without <= set(SHAPES)


def test_help_lists_every_exit_code(run: Any) -> None:
    text = " ".join(run("--help").stdout.split())
    for code, meaning in MEANINGS.items():
        assert f"{code.value} {meaning}" in text


def test_starting_loads_nothing_heavy() -> None:
    heavy = ("ray", "httpx", "pydantic", "sqlalchemy", "fastapi", "rich", "numpy", "anthropic")
    code = (
        "import sys, webnova.cli, webnova;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ended.stdout.strip() == "[]"


class TestErrors:
    @pytest.mark.parametrize("cls", error_types())
    def test_each_error_has_a_documented_code(self, cls: type[WebNovaError]) -> None:
        assert exit_code(cls("x")) in MEANINGS

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["list"], 3),
            (["status"], 3),
            (["create", "a clinic"], 3),
            (["token"], 4),
            (["blueprint", "validate", "/nothing/here.yaml"], 4),
            (["blueprint", "show", "no/such.yaml"], 4),
            (["test", "/nothing"], 4),
            (["generate", "/nothing", "--out", "x"], 4),
            (["job", "submit", "examples/jobs/build_many.py"], 3),
            (["job", "submit", "/nothing.py"], 4),
            (["nonsense"], 2),
            (["logs", "x", "--lines", "0"], 2),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
    )
    def test_codes(self, run: Any, words: list[str], code: int) -> None:
        result = run(*words)
        assert result.exit_code == code
        assert "Traceback" not in result.output

    def test_json_errors_are_the_problem(self, run: Any) -> None:
        for words in (["--json", "list"], ["list", "--json"]):
            result = run(*words)
            problem = json.loads(result.stdout)["error"]
            assert problem["code"] == "unavailable"
            assert "webnova up" in problem["mend"]

    def test_an_address_that_is_none_is_refused(
        self, run: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WEBNOVA_URL", "nonsense")
        result = run("list")
        assert result.exit_code == 2
        assert "http://127.0.0.1:8000" in result.stderr

    def test_places_are_told_one_by_one(self) -> None:
        errors = [{"path": f"a.{n}", "line": n, "column": 1, "message": "m"} for n in range(1, 31)]
        told = places(InvalidInput("x", errors=errors, error_count=70))
        assert told[0] == "line 1, column 1, a.1: m"
        assert told[-1] == "… and 50 more places"
        assert place_line({"message": "m", "suggestion": "s"}) == "m (did you mean `s`?)"

    def test_what_nobody_foresaw_is_kept_in_a_file(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        @command
        def broken(output: Output) -> None:
            raise ZeroDivisionError("deep inside")

        with pytest.raises(typer.Exit) as ended:
            broken()
        assert ended.value.exit_code == ExitCode.FAILED
        told = capsys.readouterr().err
        assert "deep inside" not in told
        kept = Path(told.rpartition("the file ")[2].strip().rstrip("."))
        assert "ZeroDivisionError: deep inside" in kept.read_text()
        kept.unlink()

    def test_an_interruption_has_its_own_code(self) -> None:
        @command
        def interrupted(output: Output) -> None:
            raise KeyboardInterrupt

        with pytest.raises(typer.Exit) as ended:
            interrupted()
        assert ended.value.exit_code == 130


class TestBlueprints:
    def test_a_valid_one(self, run: Any) -> None:
        result = run("blueprint", "validate", str(CLINIC), "--json")
        assert result.exit_code == 0
        found = Validity.model_validate_json(result.stdout)
        assert (found.valid, found.name) == (True, "clinic")

    def test_an_invalid_one_names_the_place_and_the_word(self, run: Any, tmp_path: Path) -> None:
        file = tmp_path / "wrong.yaml"
        file.write_text(CLINIC.read_text().replace("type: instant", "type: instnt"))
        result = run("blueprint", "validate", str(file), "--json")
        assert result.exit_code == 2
        [problem] = Validity.model_validate_json(result.stdout).errors
        assert (problem.line, problem.suggestion) == (45, "instant")
        told = run("blueprint", "validate", str(file)).stderr
        assert "line 45, column 25" in told
        assert "did you mean `instant`?" in told

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a: &a [*a, *a]", b"[" * 5000, b"x: 1"])
    def test_nonsense_is_a_problem_and_no_crash(self, run: Any, content: bytes) -> None:
        result = run("blueprint", "validate", "-", "--json", input=content)
        assert result.exit_code == 2
        assert json.loads(result.stdout)

    def test_differences(self, run: Any, tmp_path: Path) -> None:
        changed = tmp_path / "changed.yaml"
        changed.write_text(CLINIC.read_text().replace("max_length: 80", "max_length: 40"))
        result = run("blueprint", "diff", str(CLINIC), str(changed), "--json")
        assert result.exit_code == 0
        found = Differences.model_validate_json(result.stdout)
        assert found.breaking
        assert [change.path for change in found.changes] == [
            "entities.Doctor.fields.specialty.max_length"
        ]

    def test_the_canonical_form_is_itself_valid_and_arabic(self, run: Any) -> None:
        shown = run("blueprint", "show", str(CLINIC)).stdout
        assert "عيادة النور" in shown
        again = run("blueprint", "show", "-", input=shown)
        assert again.stdout == shown


class TestGenerating:
    FIELD = "specialty: {type: string"

    @pytest.fixture
    def changed(self, tmp_path: Path) -> Path:
        file = tmp_path / "changed.yaml"
        text = CLINIC.read_text(encoding="utf-8")
        file.write_text(text.replace(self.FIELD, "nickname: {type: string}\n      " + self.FIELD))
        return file

    def test_the_same_bytes_and_nothing_written_twice(self, run: Any, tmp_path: Path) -> None:
        found = []
        for out in (tmp_path / "a b", tmp_path / "c", tmp_path / "c"):
            result = run("generate", str(CLINIC), "--out", str(out), "--json")
            assert result.exit_code == 0, result.output
            found.append(Generated.model_validate_json(result.stdout))
        assert len({each.digest for each in found}) == 1
        assert found[0].generated == found[1].generated
        assert found[0].written == found[0].files == len(found[0].added)
        assert found[2].written == 0 and found[2].is_empty

    def test_edits_are_kept_and_taken_back_as_they_were(
        self, run: Any, tmp_path: Path, changed: Path
    ) -> None:
        out = tmp_path / "out"
        run("generate", str(CLINIC), "--out", str(out))
        model = out / "app" / "models" / "doctor.py"
        mine = model.read_text() + "# mine\n"
        model.write_text(mine)
        foreseen = run("generate", str(changed), "--out", str(out), "--dry-run", "--json")
        assert Generated.model_validate_json(foreseen.stdout).dry_run
        assert model.read_text() == mine
        done = run("generate", str(changed), "--out", str(out))
        assert done.exit_code == 0 and "webnova undo" in done.stdout
        assert "nickname" in model.read_text() and model.read_text().endswith("# mine\n")
        back = run("undo", str(out), "--json")
        assert "app/models/doctor.py" in Regeneration.model_validate_json(back.stdout).updated
        assert model.read_text() == mine

    def test_a_conflict_has_an_exit_code_of_its_own(
        self, run: Any, tmp_path: Path, changed: Path
    ) -> None:
        out = tmp_path / "out"
        run("generate", str(CLINIC), "--out", str(out))
        model = out / "app" / "models" / "doctor.py"
        model.write_text(model.read_text().replace("specialty", "speciality"))
        done = run("generate", str(changed), "--out", str(out))
        assert done.exit_code == ExitCode.CONFLICTS
        assert "Conflict in app/models/doctor.py" in done.stdout
        assert "<<<<<<< yours\n" in model.read_text()
        again = run("generate", str(changed), "--out", str(out), "--json")
        assert again.exit_code == ExitCode.CONFLICTS
        [still] = Generated.model_validate_json(again.stdout).still_open
        assert still.path == "app/models/doctor.py"
        refused = run("generate", str(CLINIC), "--out", str(out))
        assert refused.exit_code == 1 and "app/models/doctor.py" in refused.stderr

    def test_without_a_file_the_projects_own_blueprint_counts(
        self, run: Any, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        run("generate", str(CLINIC), "--out", str(out))
        source = out / "blueprint.yaml"
        source.write_text(source.read_text().replace("max: 240", "max: 480  # longer"))
        result = run("generate", "--out", str(out), "--json")
        assert result.exit_code == 0, result.output
        done = Generated.model_validate_json(result.stdout)
        assert "app/schemas/appointment.py" in done.updated and "blueprint.yaml" in done.kept
        assert "# longer" in source.read_text()

    def test_a_strangers_directory_needs_a_word(self, run: Any, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "README.md").write_text("mine\n")
        refused = run("generate", str(CLINIC), "--out", str(tmp_path / "out"))
        assert refused.exit_code == 1 and "--adopt" in refused.stderr
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["README.md"]
        adopted = run("generate", str(CLINIC), "--out", str(tmp_path / "out"), "--adopt")
        assert adopted.exit_code == ExitCode.CONFLICTS
        assert "mine\n" in (tmp_path / "out" / "README.md").read_text()

    @pytest.mark.parametrize("word", ["Doctor", "=x", "x=", ""])
    def test_a_new_name_needs_both(self, run: Any, tmp_path: Path, word: str) -> None:
        result = run("generate", str(CLINIC), "--out", str(tmp_path), "--renamed", word)
        assert result.exit_code == 2 and "OLD=NEW" in result.stderr

    def test_nothing_to_undo(self, run: Any, tmp_path: Path) -> None:
        assert run("undo", str(tmp_path)).exit_code == 4


class TestDoctor:
    def test_it_says_the_mend_of_what_it_finds(
        self, run: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WEBNOVA_POSTGRES_BIN", "/nowhere")
        result = run("doctor", "--json")
        found = Diagnosis.model_validate_json(result.stdout)
        assert result.exit_code == 1
        assert not found.healthy
        [postgres] = [check for check in found.checks if check.name == "postgres"]
        assert (postgres.state, bool(postgres.mend)) == ("problem", True)
        assert all(check.mend for check in found.checks if check.state != "ok")


class TestWords:
    @pytest.mark.parametrize(
        ("duration", "text"),
        [(None, ""), (0.424, "0.42 s"), (12.34, "12.3 s"), (125.2, "2 min 5 s")],
    )
    def test_durations(self, duration: float | None, text: str) -> None:
        assert seconds(duration) == text

    def test_right_to_left_text_is_isolated_on_a_terminal_only(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(output_module.sys.stdout, "isatty", lambda: True, raising=False)
        assert isolated("عيادة") == "\u2068عيادة\u2069"
        assert isolated("clinic") == "clinic"
        monkeypatch.setattr(output_module.sys.stdout, "isatty", lambda: False, raising=False)
        assert isolated("عيادة") == "عيادة"

    def test_arabic_is_printed_in_any_locale(self) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", "webnova.cli", "blueprint", "show", str(CLINIC)],
            capture_output=True,
            check=True,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        )
        assert "عيادة النور" in ended.stdout.decode()


class TestTables:
    def test_columns_stand_below_each_other_and_nothing_is_folded(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        address = "http://127.0.0.1:8000/p/root/" + "x" * 200
        rows = [["a", "عِيَادَة", address], ["long-name", "T", ""]]
        Output(as_json=False).table(["name", "title", "address"], rows)
        head, first, second = capsys.readouterr().out.splitlines()
        assert head == "name       title  address"
        assert first == f"a          عِيَادَة  {address}"
        assert second == "long-name  T"


class TestDemo:
    @pytest.mark.parametrize(("state", "stopped"), [("stopped", True), ("running", False)])
    def test_an_interruption_stops_only_what_the_demo_started(
        self, run: Any, monkeypatch: pytest.MonkeyPatch, state: str, stopped: bool
    ) -> None:
        calls = []

        class ScriptedStack:
            def __init__(self, home: Home) -> None:
                self.home = home

            def status(self) -> StackStatus:
                return StackStatus(state=state, home=str(self.home.root))

            def up(self, progress: Any) -> StackStatus:
                calls.append("up")
                return self.status()

            def down(self) -> None:
                calls.append("down")

        def interrupted() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(local, "Stack", ScriptedStack)
        monkeypatch.setattr(project_commands, "connect", interrupted)
        result = run("demo", "a clinic")
        assert result.exit_code == 130
        assert calls == (["up", "down"] if stopped else ["up"])


class TestFollowing:
    def event(self, type: str, second: int, **data: Any) -> Event:
        return Event.model_validate(
            {
                "cursor": f"1-{second}",
                "event_id": "00000000-0000-0000-0000-000000000000",
                "type": type,
                "kind": "run",
                "id": "run_1",
                "version": second,
                "at": f"2026-01-01T00:00:{second:02}Z",
                "data": data,
                "metadata": {},
            }
        )

    def test_steps_are_tracked_with_their_recorded_durations(self) -> None:
        tracker = Tracker(["plan", "test"])
        tracker.take(self.event("run.step_started", 1, step="plan", attempt=1))
        assert tracker.steps["plan"].state == "started"
        output = {"entities": 3, "roles": 4}
        done = tracker.take(self.event("run.step_completed", 4, step="plan", output=output))
        assert done is not None
        assert (done.state, done.duration_s, done.fraction) == ("done", 3.0, 1.0)
        assert done.message == "3 entities, 4 roles"

        tracker.take(self.event("run.step_started", 5, step="test", attempt=1))
        cause = {"detail": "The sandbox is busy."}
        tracker.take(self.event("run.step_postponed", 6, step="test", cause=cause))
        assert tracker.steps["test"].message == "The sandbox is busy. Trying again."
        tracker.take(self.event("run.step_started", 8, step="test", attempt=2))
        assert tracker.steps["test"].message == "attempt 2"
        progress = {"fraction": 0.5, "message": "half"}
        tracker.take(self.event("run.step_progressed", 9, step="test", **progress))
        assert tracker.steps["test"].fraction == 0.5
        failed = tracker.take(self.event("run.failed", 10, step="test", cause=cause))
        assert failed is not None
        assert (failed.state, failed.duration_s) == ("failed", 2.0)
        assert tracker.take(self.event("run.succeeded", 11)) is None

    def test_an_unisolated_test_is_named_as_such(self) -> None:
        report = {"passed": 3, "failed": 0, "skipped": 1, "driver": "process", "isolated": False}
        assert summary("test", report) == "3 passed, 0 failed, 1 skipped (unisolated)"
        walled = summary("test", {**report, "driver": "bubblewrap", "isolated": True})
        assert walled.endswith("(bubblewrap)")

    def test_without_a_terminal_each_ended_step_is_told_once(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with StepBoard(Output(as_json=False)) as board:
            step = StepLine("plan", state="started")
            board.show(step)
            step.state, step.duration_s, step.message = "done", 1.5, "3 entities"
            board.show(step)
            board.show(step)
        assert capsys.readouterr().out == "✓ Plan the platform 1.50 s · 3 entities\n"

    def test_a_terminal_shows_bars(self) -> None:
        output = Output(as_json=False)
        drawn = io.StringIO()
        output._console = Console(file=drawn, force_terminal=True, width=120)
        with StepBoard(output) as board:
            step = StepLine("generate", state="started", fraction=0.5, message="3 of 6 parts")
            board.show(step)
            step.state, step.duration_s = "done", 1.5
            board.show(step)
        assert "✓ Generate the code and its tests" in drawn.getvalue()
        assert "1.50 s" in drawn.getvalue()

    def test_json_output_holds_no_progress(self, capsys: pytest.CaptureFixture[str]) -> None:
        with StepBoard(Output(as_json=True)) as board:
            board.show(StepLine("plan", state="done"))
        assert capsys.readouterr().out == ""
