"""The command that takes over somebody's release: what it will mark comes first, then the question, then the deed."""

from __future__ import annotations

import asyncio
import sys
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from .completions import plans
from .operations import PANEL, AskedBy, Conflict, Name, RequestId, Wait, caller, perform
from .options import ASKING, CATALOG, command
from .session import Session, console

if TYPE_CHECKING:
    from rich.console import Console

    from ..client import Innkeeper, OperationHandle
    from ..model.messages import Request
    from ..model.preview import Adoption

EXAMPLE = "innkeeper adopt acme --namespace shop --release web --tenant t1 --plan starter"


Namespace = Annotated[str, typer.Option("--namespace", help="Where the release is.", show_default=False)]
Owner = Annotated[str, typer.Option("--tenant", "-t", help="Who is to own the instance.", show_default=False)]
Plan = Annotated[
    str, typer.Option("--plan", "-p", help="A plan of the catalog.", show_default=False, autocompletion=plans)
]
Release = Annotated[
    str | None, typer.Option("--release", help="The release; by default named NAME.", show_default=False)
]
Confirmed = Annotated[
    str | None,
    typer.Option(
        "--confirmed",
        help="With --yes: only if it is still what the --dry-run of this digest showed.",
        metavar="DIGEST",
        show_default=False,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Declare the command."""
    command(app, (*ASKING, CATALOG), panel=PANEL, example=EXAMPLE)(adopt)


def adopt(
    session: Session,
    name: Name,
    namespace: Namespace,
    tenant: Owner,
    plan: Plan,
    release: Release = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: take it over.")] = False,
    confirmed: Confirmed = None,
    request_id: RequestId = None,
    wait: Wait = True,
    on_conflict: Conflict = "reject",
    asked_by: AskedBy = None,
) -> None:
    """Take over a Helm release that somebody else installed, as it runs: nothing is changed, no pod restarted."""
    from ..model.instance import Kind
    from ..model.messages import Request

    request = Request.of(
        Kind.ADOPT,
        name,
        request_id=uuid.uuid4().hex if request_id is None else request_id,
        tenant=tenant,
        plan=plan,
        namespace=namespace,
        release=release,
    )
    if dry_run or not yes:
        seen = _preview(session, request, ask=not dry_run)
        if dry_run:
            session.answer(seen, lambda: _tell(session.console, seen))
            return
        _confirm(seen)
        confirmed = seen.digest or confirmed

    async def ask(innkeeper: Innkeeper) -> OperationHandle:
        return await innkeeper.adopt(
            name,
            namespace=namespace,
            tenant=tenant,
            plan=plan,
            release=release,
            confirmed=confirmed,
            request_id=request.request_id,
            asked_by=asked_by or caller(),
            on_conflict=on_conflict,
        )

    perform(session, "adopt", ask, wait=wait, request=request.request_id)


def _preview(session: Session, request: Request, *, ask: bool) -> Adoption:
    from ..client import BadInput

    if ask and not sys.stdin.isatty():
        fix = "look at it by --dry-run, then give --yes"
        raise BadInput("adopt", request.instance, "is not confirmed, and nobody is there to ask", fix=fix)

    async def look() -> Adoption:
        async with session.innkeeper() as innkeeper:
            return await innkeeper.preview_adoption(
                request.instance,
                namespace=request.home[0],
                tenant=request.tenant or "",
                plan=request.plan or "",
                release=request.home[1],
                request_id=request.request_id,
            )

    return asyncio.run(look())


def _confirm(seen: Adoption) -> None:
    from ..client import BadInput

    if seen.asked_before:
        return
    _tell(console(stderr=True), seen)
    if not typer.confirm(f"Adopt {seen.instance}?", default=False, err=True):
        raise BadInput("adopt", seen.instance, "was not confirmed; nothing was touched", fix="answer y, or give --yes")


def _tell(shown: Console, seen: Adoption) -> None:
    from . import tables

    where = f"release {seen.release} in namespace {seen.namespace}"
    if seen.asked_before:
        shown.print(f"{seen.instance}: asked for before under this request id; nothing would be done anew")
        return
    shown.print(f"{seen.instance}: {where} at revision {seen.revision} ({seen.chart}), plan {seen.plan}", style="bold")
    rows = [
        *(("mark", each.object, each.what) for each in seen.marked),
        *(("make", each.object, each.what) for each in seen.made),
        *(("leave", each.object, each.what) for each in seen.left),
        *(("beside", each, "of others: stopped, started and purged with the instance") for each in seen.beside),
    ]
    tables.show(shown, ("", "object", "what"), rows)
    if seen.digest:
        shown.print(f"To have just this done by a script: --yes --confirmed {seen.digest}", style="dim")
    shown.print(f"{seen.pods} pods run on untouched. From then on the namespace is the instance's: a purge deletes it.")
