"""The exit codes of every command, as `webnova --help` lists them."""

from __future__ import annotations

from enum import IntEnum

from engine.kernel.errors import StepFailed, WebNovaError


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    NOT_FOUND = 4
    DENIED = 5
    CONFLICTS = 6
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "failed: the run, a test or a check did not succeed, or the state forbids it",
    ExitCode.USAGE: "wrong usage or input that is not valid",
    ExitCode.UNAVAILABLE: "not running, or not available now",
    ExitCode.NOT_FOUND: "no such platform, run, version or file",
    ExitCode.DENIED: "no token, or one without the permission",
    ExitCode.CONFLICTS: "done, but a person has to resolve conflicts",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}

_BY_STATUS = {
    400: ExitCode.USAGE,
    401: ExitCode.DENIED,
    403: ExitCode.DENIED,
    404: ExitCode.NOT_FOUND,
    413: ExitCode.USAGE,
    422: ExitCode.USAGE,
    503: ExitCode.UNAVAILABLE,
}


def exit_code(error: WebNovaError) -> ExitCode:
    """The code for an error; what has none of its own is a failure."""
    if isinstance(error, StepFailed):
        return ExitCode.FAILED
    return _BY_STATUS.get(error.status, ExitCode.FAILED)
