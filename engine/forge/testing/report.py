"""What a run of generated tests came to, read from the JUnit XML that pytest writes.

The file comes out of a sandbox in which generated code ran, so it is untrusted: its size is
bounded, and a document type (the way to entity expansion and outside files) is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from pydantic import BaseModel, ConfigDict, Field

from engine.kernel.errors import StepFailed

MAX_REPORT_BYTES = 16_000_000
MAX_FAILURES = 50
MAX_MESSAGE = 2_000


class Failure(BaseModel):
    """One test that failed, or that could not even be set up or collected."""

    model_config = ConfigDict(frozen=True)

    test: str = Field(description="Module and name, with the parameters in brackets.")
    message: str


class SuiteReport(BaseModel):
    """Counts of one suite or of several; every test is counted exactly once."""

    model_config = ConfigDict(frozen=True)

    passed: int = Field(0, ge=0)
    failed: int = Field(0, ge=0, description="Failures and errors.")
    skipped: int = Field(0, ge=0)
    duration_s: float = Field(0.0, ge=0)
    failures: list[Failure] = Field([], description=f"The first {MAX_FAILURES} of them.")

    @property
    def green(self) -> bool:
        """Something ran and nothing failed."""
        return self.failed == 0 and self.passed > 0


def parse_junit(document: bytes) -> SuiteReport:
    """The report in a file written by `pytest --junitxml`.

    Raises `StepFailed` when the document isn't such a report: empty, cut short, too large or with
    a document type.
    """
    if len(document) > MAX_REPORT_BYTES:
        raise StepFailed("The test run left a report that is too large to read.")
    try:
        root = ET.fromstring(document, parser=ET.XMLParser(target=_PlainTree()))
    except ET.ParseError as error:
        raise StepFailed("The test run left no readable report.", reason=str(error)) from error
    if root.tag not in ("testsuites", "testsuite"):
        raise StepFailed("The test run left no readable report.", reason=f"root is <{root.tag}>")
    suites = [root] if root.tag == "testsuite" else root.findall("testsuite")
    cases = [case for suite in suites for case in suite.iter("testcase")]
    return _counted(cases, sum(_seconds(suite.get("time")) for suite in suites))


def merged(reports: Iterable[SuiteReport], duration_s: float | None = None) -> SuiteReport:
    """Several suites as one. `duration_s` is the wall time when they ran beside each other."""
    listed = list(reports)
    return SuiteReport(
        passed=sum(report.passed for report in listed),
        failed=sum(report.failed for report in listed),
        skipped=sum(report.skipped for report in listed),
        duration_s=(
            sum(report.duration_s for report in listed) if duration_s is None else duration_s
        ),
        failures=[failure for report in listed for failure in report.failures][:MAX_FAILURES],
    )


class _PlainTree(ET.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise StepFailed("The test run left a report with a document type, which is refused.")


def _counted(cases: list[ET.Element], duration_s: float) -> SuiteReport:
    # pytest writes a test that fails and then fails again in its teardown as two cases.
    broken: dict[str, str] = {}
    others: dict[str, bool] = {}
    for case in cases:
        name = _name(case)
        problem = next((child for child in case if child.tag in ("failure", "error")), None)
        if problem is not None:
            broken.setdefault(name, _message(problem))
        else:
            others[name] = case.find("skipped") is not None
    settled = [skipped for name, skipped in others.items() if name not in broken]
    return SuiteReport(
        passed=settled.count(False),
        failed=len(broken),
        skipped=settled.count(True),
        duration_s=duration_s,
        failures=[Failure(test=name, message=message) for name, message in list(broken.items())][
            :MAX_FAILURES
        ],
    )


def _name(case: ET.Element) -> str:
    place, name = case.get("classname", ""), case.get("name", "")
    return f"{place}::{name}" if place else name


def _message(problem: ET.Element) -> str:
    text = problem.get("message") or (problem.text or "").strip() or problem.tag
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"


def _seconds(text: str | None) -> float:
    try:
        return max(float(text or 0), 0.0)
    except ValueError:
        return 0.0
