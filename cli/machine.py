"""The commands about this machine: the platform on it, what it lacks, the worker, and the demo."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .exits import Exit
from .options import ALL, CATALOG, CLUSTER, EVERY, STATE_DIR, SUPABASE, TEMPORAL, command
from .session import Session, console

if TYPE_CHECKING:
    from ..embedded.options import Addresses, Options
    from .documents import PlatformStatus

PANEL = "This machine"

WithWorker = Annotated[
    bool | None,
    typer.Option("--worker/--no-worker", help="Run a worker, too; by default where there is a catalog."),
]


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    command(app, ALL, panel=PANEL, example="innkeeper up")(up)
    command(app, EVERY, panel=PANEL, example="innkeeper status --output json")(status)
    command(app, EVERY, panel=PANEL, example="innkeeper down")(down)
    command(app, EVERY, panel=PANEL, example="innkeeper doctor")(doctor)
    parts = (STATE_DIR, *TEMPORAL, SUPABASE, *CLUSTER, CATALOG)
    command(app, parts, panel=PANEL, example="innkeeper worker --catalog catalog.yaml")(worker)
    command(app, (), panel=PANEL, example="innkeeper demo")(demo)


def up(
    session: Session,
    with_worker: WithWorker = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and stop all with Ctrl-C.")] = False,
) -> None:
    """Start Temporal, Supabase and Kubernetes here; parts of your own that are named stand in for them."""
    from ..embedded import supervisor

    options = _options(session, with_worker)
    state = options.state_dir
    session.on_interrupt = ["interrupted; what had started is stopped"]
    began = time.monotonic()

    def ready(addresses: Addresses) -> None:
        shown = _status_of(state, running=True, pid=supervisor.status(state).pid, addresses=addresses)
        session.answer(shown, lambda: _tell_status(session, shown))
        session.say(f"ready in {time.monotonic() - began:.1f} s", "green")
        session.say("a worker runs, too" if options.worker else f"no worker: start one with `{session.hint('worker')}`")

    if foreground:
        asyncio.run(supervisor.serve(options, session.say, ready))
        return
    with _waiting(session, "starting the platform") as progress:
        addresses = asyncio.run(supervisor.up(options, progress))
    ready(addresses)


def status(session: Session) -> None:
    """Say what runs on the state directory; exit code 4 where nothing does."""
    from ..embedded import supervisor

    state = session.settings.state_dir
    found = supervisor.status(state)
    shown = _status_of(state, running=found.running, pid=found.pid, addresses=found.addresses, failure=found.failure)
    session.answer(shown, lambda: _tell_status(session, shown))
    if not found.running:
        raise typer.Exit(Exit.UNREACHABLE)


def down(session: Session) -> None:
    """Stop what `innkeeper up` started; its data stays. Harmless where nothing runs."""
    from ..embedded import supervisor
    from .documents import Stopped

    state = session.settings.state_dir
    session.on_interrupt = ["interrupted; the platform goes on stopping"]
    with _waiting(session, "stopping the platform"):
        stopped = asyncio.run(supervisor.down(state))
    said = f"stopped; the data stays in {state}" if stopped else f"nothing runs on {state}"
    session.answer(Stopped(state_dir=state, stopped=stopped), lambda: session.say(said))


def doctor(session: Session) -> None:
    """Show what the platform needs, what was found, and how to mend what is missing; exit code 4 if any is."""
    from ..embedded.doctor import examine
    from . import tables
    from .documents import Diagnosis

    rows = asyncio.run(examine(_options(session, with_worker=False)))
    diagnosis = Diagnosis(ok=all(row.ok for row in rows), checks=rows)

    def tell() -> None:
        lines = [("✓" if row.ok else "✗", row.tool, row.wanted, row.found, row.where, row.fix) for row in rows]
        tables.show(session.console, ("", "tool", "wanted", "found", "where", "fix"), lines)

    session.answer(diagnosis, tell)
    if not diagnosis.ok:
        raise typer.Exit(Exit.UNREACHABLE)


def worker(session: Session) -> None:
    """Run operations until SIGTERM or Ctrl-C; steps that are under way are finished or left to another worker."""
    from ..worker import main

    if session.temporal_namespace is not None:
        # The worker reads Temporal's own configuration, which knows no command line.
        os.environ["TEMPORAL_NAMESPACE"] = session.temporal_namespace
    raise typer.Exit(main(session.settings))


def demo(session: Session) -> None:
    """Show the main job on real parts, from nothing to nothing: a platform of its own, four instances, and proof."""
    from ..embedded.demo import main

    session.on_interrupt = ["interrupted; the demo's platform is stopped and its directory removed"]
    raise typer.Exit(main())


def _options(session: Session, with_worker: bool | None) -> Options:
    """The platform's options: what was named outside the state directory's own leftovers is the user's own part."""
    from ..embedded.options import Options
    from .configuration import OF_PLATFORM, sources_of

    settings, sources = session.settings, sources_of(session.given_settings)

    def own(name: str) -> Any:
        return getattr(settings, name) if sources.get(name, OF_PLATFORM) != OF_PLATFORM else None

    key = own("supabase_key")
    chosen = {
        "kubeconfig": own("kubeconfig"),
        "context": own("kube_context"),
        "temporal_address": own("temporal_address") or os.environ.get("TEMPORAL_ADDRESS"),
        "temporal_namespace": session.given.get("temporal_namespace") or os.environ.get("TEMPORAL_NAMESPACE"),
        "supabase_url": own("supabase_url"),
        "supabase_key": key.get_secret_value() if key and own("supabase_url") else None,
        "helm": settings.helm,
    }
    return Options(
        state_dir=settings.state_dir,
        worker=_wants_worker(session, with_worker, named="catalog" in sources),
        catalog=settings.catalog,
        **{name: value for name, value in chosen.items() if value is not None},
    )


def _wants_worker(session: Session, asked: bool | None, *, named: bool) -> bool:
    """Whether to run one; its catalog is read first, so that a bad one is told before anything starts."""
    wanted = (named or session.settings.catalog.exists()) if asked is None else asked
    if wanted:
        session.settings.load_catalog()
    return wanted


@contextmanager
def _waiting(session: Session, what: str) -> Iterator[Callable[[str], None]]:
    """Something that moves, with the time it has taken, where a person watches; takes lines of progress."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    shown = console(stderr=True) if session.json else session.console
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=shown,
        transient=True,
        disable=not shown.is_terminal,
    ) as progress:
        progress.add_task(what)
        yield shown.print


def _status_of(
    state: Path, *, running: bool, pid: int | None, addresses: Addresses | None, failure: Any = None
) -> PlatformStatus:
    from ..embedded.options import ADDRESSES
    from .documents import PlatformStatus

    logs = state.absolute() / "logs"
    if addresses is None:
        return PlatformStatus(running=running, state_dir=state, pid=pid, logs=logs, failure=failure)
    return PlatformStatus(
        running=running,
        state_dir=state,
        pid=pid,
        addresses_file=state.absolute() / ADDRESSES,
        logs=logs,
        failure=failure,
        **addresses.model_dump(
            include={"temporal_ui", "temporal_address", "temporal_namespace", "supabase_url", "kubeconfig", "context"}
        ),
    )


def _tell_status(session: Session, shown: PlatformStatus) -> None:
    from . import tables

    if not shown.running:
        session.say(f"nothing runs on {shown.state_dir}; start a platform with `{session.hint('up')}`")
        if shown.failure is not None:
            session.say(f"the last one ended by itself: {shown.failure}", "red")
        return
    if shown.addresses_file is None:
        session.say(f"starting on {shown.state_dir} (process {shown.pid}); logs: {shown.logs}")
        return
    pairs = [
        ("Temporal UI", shown.temporal_ui),
        ("Temporal", f"{shown.temporal_address} (namespace {shown.temporal_namespace})"),
        ("Supabase", shown.supabase_url),
        ("Kubernetes", f"--kubeconfig {shown.kubeconfig} --context {shown.context}"),
        ("for backends", f"export TEMPORAL_ADDRESS={shown.temporal_address}"),
        ("keys", shown.addresses_file),
        ("logs", shown.logs),
        ("process", shown.pid),
    ]
    tables.fields(session.console, pairs)
