"""What every command shares: `--json`, its exit code, and errors told without a traceback."""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.kernel.errors import WebNovaError
from webnova.cli.exits import ExitCode, exit_code
from webnova.cli.output import Output, json_for_all

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function whose first parameter is the `Output`.

    The rest of its parameters become arguments and options, with `--json` after them. A
    `WebNovaError` ends the command with what is wrong, where and the mend; anything unforeseen is
    kept in full in a file and told in one sentence.
    """
    given = inspect.signature(function, eval_str=True)
    parameters = list(given.parameters.values())[1:]
    as_json = inspect.Parameter(
        "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json
    )

    @wraps(function)
    def run(**arguments: Any) -> None:
        output = Output(arguments.pop("as_json", False) or json_for_all.get())
        try:
            function(output, **arguments)
        except WebNovaError as error:
            output.error(error)
            raise typer.Exit(exit_code(error)) from None
        except KeyboardInterrupt:
            sys.stderr.write("\nInterrupted.\n")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("WEBNOVA_DEBUG"):
                raise
            output.error(_unforeseen(error))
            raise typer.Exit(ExitCode.FAILED) from None

    del run.__wrapped__
    shown = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    run.__signature__ = given.replace(parameters=[*shown, as_json])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in [*shown, as_json]}
    return run


def stop(code: ExitCode) -> typer.Exit:
    """What a command raises to end with `code` when it has said everything itself."""
    return typer.Exit(int(code))


def _unforeseen(error: Exception) -> WebNovaError:
    account = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix="webnova-", suffix=".log", encoding="utf-8", delete=False
    ) as file:
        file.write(account)
    return WebNovaError(
        f"WebNova itself made a mistake ({type(error).__name__}).",
        mend=f"Please report it with the file {Path(file.name)}.",
    )
