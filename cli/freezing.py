"""The commands that freeze: automatic repairs, or everything, leave an instance, a plan or the cluster alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from .operations import caller
from .options import READING, command
from .session import Session

if TYPE_CHECKING:
    from ..model.freezes import Freeze

PANEL = "Operators"

What = Annotated[str | None, typer.Argument(help="This instance.", metavar="NAME", show_default=False)]
Plan = Annotated[str | None, typer.Option("--plan", "-p", help="All instances of this plan.", show_default=False)]
Cluster = Annotated[bool, typer.Option("--cluster", help="All instances.")]


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    command(app, READING, panel=PANEL, example="innkeeper freeze acme --note migration")(freeze)
    command(app, READING, panel=PANEL, example="innkeeper unfreeze acme")(unfreeze)


def freeze(
    session: Session,
    name: What = None,
    plan: Plan = None,
    cluster: Cluster = False,
    everything: Annotated[bool, typer.Option("--all", help="Refuse what people ask for, too.")] = False,
    note: Annotated[str, typer.Option("--note", help="Why, for the record.", show_default=False)] = "",
    operator: Annotated[
        str | None, typer.Option("--operator", help="Who freezes, for the record; you by default.", show_default=False)
    ] = None,
) -> None:
    """Let neither drift nor the sweep ask for repairs, until it is ended; people may go on, unless --all."""

    async def send() -> Freeze:
        async with session.freezes() as freezing:
            return await freezing.freeze(
                name, plan=plan, cluster=cluster, everything=everything, note=note, operator=operator or caller()
            )

    found = asyncio.run(send())
    session.answer(found, lambda: tell_freezes(session, [found]))


def unfreeze(session: Session, name: What = None, plan: Plan = None, cluster: Cluster = False) -> None:
    """End a freeze."""
    from .documents import Unfrozen

    async def send() -> bool:
        async with session.freezes() as freezing:
            return await freezing.unfreeze(name, plan=plan, cluster=cluster)

    found = Unfrozen(unfrozen=asyncio.run(send()))
    session.answer(found, lambda: session.say("no longer frozen" if found.unfrozen else "it was not frozen", "green"))


def tell_freezes(session: Session, freezes: Iterable[Freeze], indent: str = "") -> None:
    """Say what is frozen, and how it is ended."""
    for each in freezes:
        session.say(f"{indent}{each}; {each.thaw} ends it", "cyan")
