"""doctor: look at the machine and say the mend."""

# ruff: noqa: PLC0415
from __future__ import annotations

from webnova.cli.command import command, stop
from webnova.cli.exits import ExitCode
from webnova.cli.output import Output

_SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@command
def doctor(output: Output) -> None:
    """Check the machine: what is missing, and how to mend it. Ends with code 1 on a problem."""
    from webnova.cli.checks import diagnose
    from webnova.cli.shapes import Diagnosis
    from webnova.stack.home import Settings

    findings = diagnose(Settings.from_environment())
    healthy = all(finding.state != "problem" for finding in findings)
    output.value(Diagnosis(healthy=healthy, checks=findings))
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        sign, style = _SIGNS[finding.state]
        output.say(f"{sign} {finding.name.ljust(width)}  {finding.found}", style=style)
        if finding.mend:
            output.say(f"  {' ' * width}  → {finding.mend}")
    if not healthy:
        raise stop(ExitCode.FAILED)
