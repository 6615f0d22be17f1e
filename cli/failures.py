"""How a command fails: one clear message on standard error, a document where a program reads, and an exit code.

Never a traceback: an error that nobody foresaw names its type and place, and shows its traceback only to whoever
sets INNKEEPER_DEBUG=1, since its text may quote what is nobody's business.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .exits import Exit, exit_code_of
from .session import Session, console, write

if TYPE_CHECKING:
    from ..model.errors import Cause
    from ..model.messages import OperationResult

DEBUG = "INNKEEPER_DEBUG"


@contextmanager
def reporting(session: Session) -> Iterator[None]:
    """Turn whatever is raised into a message and an exit code.

    Raises:
        typer.Exit: with the code.
    """
    try:
        yield
    except (typer.Exit, typer.TyperException, BrokenPipeError):
        raise
    except (KeyboardInterrupt, typer.Abort):
        raise _interrupted(session) from None
    except Exception as error:  # noqa: BLE001 - the last line of defence: people get words, not tracebacks
        raise _failed(session, error) from None


def _failed(session: Session, error: Exception) -> typer.Exit:
    from ..model.errors import BadInput, Busy, Cause, InnkeeperError, OperationFailed

    if not isinstance(error, InnkeeperError):
        if os.environ.get(DEBUG):
            traceback.print_exception(error)
        what = f"{type(error).__name__} in {_place(error)}: this is a defect"
        fix = f"report it with what {DEBUG}=1 shows, and see docs/cli.md for what to try meanwhile"
        return _tell(session, Cause(code="Defect", message=what, fix=fix), Exit.DEFECT)
    untouched = isinstance(error, BadInput | Busy)
    return _tell(
        session,
        error.cause,
        exit_code_of(error),
        request_id=None if untouched else session.request_id,
        result=error.result if isinstance(error, OperationFailed) else None,
    )


def _interrupted(session: Session) -> typer.Exit:
    from ..model.errors import Cause

    first, *more = session.on_interrupt
    cause = Cause(code="Interrupted", message=first, fix="; ".join(more))
    if session.json:
        return _tell(session, cause, Exit.INTERRUPTED, request_id=session.request_id)
    print_error(session.command, first, more)
    return typer.Exit(Exit.INTERRUPTED)


def _tell(
    session: Session,
    cause: Cause,
    code: Exit,
    *,
    request_id: str | None = None,
    result: OperationResult | None = None,
) -> typer.Exit:
    from .documents import Failure, line, pretty

    where = "" if cause.object in cause.message else cause.object
    told = [("object", where), ("fix", cause.fix), ("request", request_id or "")]
    print_error(session.command, cause.message, [f"{label + ':':8} {text}" for label, text in told if text])
    if session.json:
        failure = Failure(error=cause, exit_code=code, request_id=request_id, result=result)
        write(line(failure) if session.streaming else pretty(failure))
    return typer.Exit(code)


def print_error(command: str, message: str, more: Sequence[str] = ()) -> None:
    """One message to standard error."""
    from rich.text import Text

    err = console(stderr=True)
    err.print(Text.assemble((f"{command}: ", "bold red"), message))
    for text in more:
        err.print(f"  {text}")


def _place(error: Exception) -> str:
    """The last place of our own that the error came through; its last place at all where there is none."""
    root = Path(__file__).parent.parent
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(root) and ".venv" not in frame.filename]
    frame = (ours or list(frames))[-1]
    path = Path(frame.filename)
    shown = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    return f"{shown}:{frame.lineno}"
