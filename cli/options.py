"""The options that commands share, and how a command is declared: its own parameters, its example, who it needs.

A shared option may stand before the command or after it; the one after it wins. Both win over the environment, `.env`,
`innkeeper.toml` and the platform of the state directory, in this order (`innkeeper.settings`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, Literal, NamedTuple, ParamSpec

import typer

from .failures import reporting
from .session import Output, Session, Tabular

P = ParamSpec("P")
PANEL = "Common options"


class Shared(NamedTuple):
    """A shared option: its parameter's name and its annotation."""

    name: str
    annotation: Any


def _shared(name: str, kind: Any, text: str, *flags: str, **more: Any) -> Shared:
    flag = f"--{name.replace('_', '-')}"
    option = typer.Option(flag, *flags, help=text, rich_help_panel=PANEL, show_default=False, **more)
    return Shared(name, Annotated[kind | None, option])


OUTPUT = _shared("output", Output, "For people, or for programs (docs/cli.md).", "-o")
TABULAR = _shared("output", Tabular, "For people, for programs, or for spreadsheets.", "-o")
STATE_DIR = _shared("state_dir", Path, "The platform's directory; .innkeeper by default.", metavar="DIR")
TEMPORAL = (
    _shared("temporal_address", str, "Temporal's host:port.", metavar="HOST:PORT"),
    _shared("temporal_namespace", str, "Temporal's namespace.", metavar="NAME"),
)
SUPABASE = _shared("supabase_url", str, "Supabase's address; its key: INNKEEPER_SUPABASE_KEY.", metavar="URL")
CLUSTER = (
    _shared("kubeconfig", Path, "A cluster's kubeconfig; none is used that is not named.", metavar="FILE"),
    _shared("context", str, "Which of the kubeconfig's contexts.", metavar="NAME"),
)
CATALOG = _shared("catalog", Path, "The file of plans; catalog.yaml by default.", metavar="FILE")

EVERY = (OUTPUT, STATE_DIR)
ASKING = (*EVERY, *TEMPORAL, SUPABASE)
READING = (*EVERY, SUPABASE)
ALL = (*EVERY, *TEMPORAL, SUPABASE, *CLUSTER, CATALOG)


OnConflict = Literal["reject", "wait", "replace"]
"""The client's `OnConflict`, said again so that help needs no client."""


def parameters(shared: tuple[Shared, ...]) -> list[inspect.Parameter]:
    """Shared options as parameters of a command's function."""
    return [
        inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option.annotation)
        for option in shared
    ]


def command(
    app: typer.Typer, shared: tuple[Shared, ...], *, panel: str, example: str, name: str | None = None, text: str = ""
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Declare a command: a function of a session and its own parameters. Its docstring is its help."""

    def register(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        ctx, *own = _signature(function)

        def call(ctx: typer.Context, **arguments: Any) -> None:
            given = {option.name: arguments.pop(option.name) for option in shared}
            session = Session(
                f"innkeeper {ctx.info_name}",
                {**(ctx.obj or {}), **{key: value for key, value in given.items() if value is not None}},
            )
            with reporting(session):
                function(session, **arguments)  # type: ignore[call-arg]

        call.__signature__ = inspect.Signature([ctx, *own, *parameters(shared)])  # type: ignore[attr-defined]
        app.command(
            name or function.__name__,
            help=text or inspect.getdoc(function),
            epilog=f"Example: {example}",
            rich_help_panel=panel,
        )(call)
        return function

    return register


def _signature(function: Callable[..., None]) -> list[inspect.Parameter]:
    """The function's parameters, Typer's context in place of the session."""
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    return [context, *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own)]
