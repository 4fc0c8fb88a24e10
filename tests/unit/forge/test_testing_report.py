"""Reading what a run of generated tests came to."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.forge.testing import SuiteReport, merged, parse_junit
from engine.forge.testing.report import MAX_FAILURES, MAX_MESSAGE, MAX_REPORT_BYTES
from engine.kernel.errors import StepFailed

SAMPLE = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("no fixture")

@pytest.fixture
def leaky():
    yield
    raise RuntimeError("teardown")

def test_passes(): pass
def test_fails(): assert 1 == 2, "one & <two>"
def test_errors(broken): pass
def test_fails_twice(leaky): assert False
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.parametrize("n", [1, 2])
def test_many(n): pass
"""


def test_report_of_a_real_run(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=report.xml"]
    subprocess.run(argv, cwd=tmp_path, capture_output=True, timeout=60, check=False)

    report = parse_junit((tmp_path / "report.xml").read_bytes())

    assert (report.passed, report.failed, report.skipped) == (3, 3, 1)
    assert not report.green
    messages = {failure.test: failure.message for failure in report.failures}
    assert set(messages) == {f"test_sample::test_{n}" for n in ("fails", "errors", "fails_twice")}
    assert "one & <two>" in messages["test_sample::test_fails"]
    assert "no fixture" in messages["test_sample::test_errors"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<testsuites><testsuite>",
        b"<html/>",
        b'<!DOCTYPE a [<!ENTITY x "y">]><testsuites>&x;</testsuites>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><testsuites/>',
        b"\x00\xff",
        b" " * (MAX_REPORT_BYTES + 1),
    ],
    ids=["empty", "cut short", "no report", "entities", "outside file", "not XML", "too large"],
)
def test_document_that_is_no_report_is_refused(document: bytes) -> None:
    with pytest.raises(StepFailed):
        parse_junit(document)


def test_failures_are_bounded() -> None:
    case = f'<testcase classname="t" name="n{{}}"><failure message="{"m" * 9999}"/></testcase>'
    cases = "".join(case.format(number) for number in range(200))
    report = parse_junit(
        f'<testsuites><testsuite time="x">{cases}</testsuite></testsuites>'.encode()
    )

    assert report.failed == 200
    assert len(report.failures) == MAX_FAILURES
    assert all(len(failure.message) <= MAX_MESSAGE + 1 for failure in report.failures)
    assert report.duration_s == 0


def test_reports_add_up() -> None:
    one = SuiteReport(passed=2, skipped=1, duration_s=1.5)
    other = SuiteReport(passed=1, failed=1, duration_s=2.0)

    assert merged([one, other]) == SuiteReport(passed=3, failed=1, skipped=1, duration_s=3.5)
    assert merged([one, other], duration_s=2.1).duration_s == 2.1
    assert one.green
    assert not merged([]).green
