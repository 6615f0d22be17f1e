"""`innkeeper`: the commands put together, and the last word on how the process ends.

Nothing heavy is imported before a command runs: help and completion answer in a fraction of a second.
"""

from __future__ import annotations

import inspect
import sys
from itertools import pairwise
from typing import Any, NoReturn

import typer

from . import adopting, attending, drifting, freezing, machine, operations, reading, timeline, usage
from .exits import Exit
from .options import ALL, parameters
from .session import Output, Session

PROGRAM = "innkeeper"


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


def _root(ctx: typer.Context, version: bool, **shared: Any) -> None:  # noqa: ARG001 - Typer has acted on it
    ctx.obj = {name: value for name, value in shared.items() if value is not None}


def application() -> typer.Typer:
    """The command line as Typer knows it."""
    app = typer.Typer(
        help="One instance per customer: Helm releases and their rows, run as durable operations.",
        epilog=f"Example: {PROGRAM} provision acme --tenant t1 --plan starter",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    version = typer.Option(False, "--version", help="Show the version.", callback=_version, is_eager=True)
    _root.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
            inspect.Parameter("version", inspect.Parameter.KEYWORD_ONLY, default=version, annotation=bool),
            *parameters(ALL),
        ]
    )
    app.callback()(_root)
    for part in (operations, adopting, attending, drifting, freezing, reading, usage, timeline, machine):
        part.add_to(app)
    return app


def main(arguments: list[str]) -> int:
    """Run one command; its exit code."""
    try:
        code = application()(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        return _misused(error, arguments)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except SystemExit as ended:
        # Typer's own ends: a completion that was printed, a reader that has gone.
        return ended.code if isinstance(ended.code, int) else Exit.DONE
    return int(code or 0)


def _misused(error: typer.TyperException, arguments: list[str]) -> int:
    """The command line itself was wrong, so that no session could begin."""
    from ..model.errors import Cause
    from .documents import Failure, pretty
    from .failures import print_error
    from .session import write

    context = getattr(error, "ctx", None)
    path = context.command_path if context else PROGRAM
    fix = f"see `{path} --help`"
    message = error.format_message()
    if not message or type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{message}\n")
        return Exit.BAD_INPUT
    print_error(path, message, [f"fix:     {fix}"])
    session = Session(path, {"output": Output.JSON} if _wants_json(arguments) else {})
    if session.json:
        cause = Cause(code="Usage", message=message, fix=fix)
        write(pretty(Failure(error=cause, exit_code=Exit.BAD_INPUT)))
    return Exit.BAD_INPUT


def _wants_json(arguments: list[str]) -> bool:
    """Whether a program reads, from a command line that could not be parsed."""
    asked = any(first in {"--output", "-o"} and second == Output.JSON for first, second in pairwise(arguments))
    return asked or f"--output={Output.JSON}" in arguments


def run() -> NoReturn:
    """The entry point of the program `innkeeper`."""
    code = main(sys.argv[1:])
    if "temporalio" not in sys.modules:
        sys.exit(code)
    from ..leaving import leave

    leave(code)
