"""job submit, stop, env: Python programs that run on the stack's cluster, for operators."""

# ruff: noqa: PLC0415
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from engine.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from webnova.cli.command import command, stop
from webnova.cli.exits import ExitCode
from webnova.cli.output import Output

if TYPE_CHECKING:
    import httpx

    from webnova.stack.home import Home

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's submission id.")]
_SUCCEEDED = "SUCCEEDED"


@command
def submit(
    output: Output,
    file: Annotated[Path, typer.Argument(help="The Python program, inside the working directory.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Its arguments; write -- before them.")
    ] = None,
    working_dir: Annotated[
        Path, typer.Option(help="Sent to the cluster as a whole; files of .gitignore stay.")
    ] = Path("."),
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Don't wait for its end.")] = False,
) -> None:
    """Run a Python program on the cluster through Ray's jobs, and show what it prints."""
    directory = working_dir.resolve()
    program = _inside(file, directory)
    home, dashboard = _dashboard()
    id = f"webnova-{uuid4().hex[:12]}"
    words = [
        *(sys.executable, "-m", "ray.scripts.scripts", "job", "submit"),
        *("--address", dashboard, "--working-dir", str(directory), "--submission-id", id),
        *(["--no-wait"] if detach else []),
        *("--", sys.executable, program, *(arguments or [])),
    ]
    environment = {**os.environ, **_authentication(home)}
    printed = sys.stderr if output.as_json else None
    try:
        ended = subprocess.run(words, env=environment, stdout=printed, check=False)
    except KeyboardInterrupt:
        output.say(f"The job goes on without you. → webnova job stop {id}")
        raise
    status = _status(home, dashboard, id)
    output.value({"submission_id": id, "status": status, "dashboard_url": dashboard})
    output.say(f"The job {id} is {status}. → {dashboard}/#/jobs/{id}")
    if ended.returncode != 0 or (status != _SUCCEEDED and not detach):
        raise stop(ExitCode.FAILED)


@command
def stop_job(output: Output, job: JobId) -> None:
    """Stop a job. The builds that it asked for go on: they are WebNova's, not the job's."""
    home, dashboard = _dashboard()
    with _api(home, dashboard) as api:
        answer = api.post(f"/api/jobs/{_plain(job)}/stop")
        if answer.status_code == 404:
            raise NotFound(f"There is no job {job!r}.")
        if answer.status_code != 200 or not answer.json().get("stopped"):
            raise Conflict(f"The job {job!r} can't be stopped; it may have ended.")
    status = _status(home, dashboard, job)
    output.value({"submission_id": job, "status": status, "dashboard_url": dashboard})
    output.say(f"The job {job} was asked to stop.")


@command
def env(output: Output) -> None:
    """Print the variables that Ray's own commands need: eval "$(webnova job env)"."""
    home, dashboard = _dashboard()
    variables = {"RAY_API_SERVER_ADDRESS": dashboard, **_authentication(home)}
    output.value(variables)
    for name, value in variables.items():
        output.say(f"export {name}='{value.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'")


def _inside(file: Path, directory: Path) -> str:
    if not file.is_file():
        raise NotFound(f"There is no file {str(file)!r}.", mend="Check the path.")
    actual = file.resolve()
    if not actual.is_relative_to(directory):
        raise InvalidInput(
            f"{str(file)!r} is not inside the working directory.",
            mend="Name a directory above it with --working-dir.",
        )
    return str(actual.relative_to(directory))


def _dashboard() -> tuple[Home, str]:
    from webnova.client.location import home_of
    from webnova.stack.local import Stack

    home = home_of()
    status = Stack(home).status()
    if status.state not in ("running", "degraded") or status.dashboard_url is None:
        raise Unavailable("WebNova is not running here.", mend="Start it with `webnova up`.")
    return home, status.dashboard_url


def _authentication(home: Home) -> dict[str, str]:
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(home.ray_token_file)}


def _api(home: Home, dashboard: str) -> httpx.Client:
    import httpx

    token = home.secret("ray-token").reveal()
    headers = {"authorization": f"Bearer {token}"}
    return httpx.Client(base_url=dashboard, headers=headers, timeout=20.0, trust_env=False)


def _status(home: Home, dashboard: str, id: str) -> str:
    with _api(home, dashboard) as api:
        answer = api.get(f"/api/jobs/{_plain(id)}")
    return str(answer.json().get("status")) if answer.status_code == 200 else "UNKNOWN"


def _plain(id: str) -> str:
    if not id.replace("-", "").replace("_", "").isalnum():
        raise InvalidInput(f"{id[:60]!r} is not the id of a job.")
    return id
