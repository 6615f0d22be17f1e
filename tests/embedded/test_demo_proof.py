"""What proves the demo is able to fail, and what shows it shows each operation on a terminal and in a pipe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from desk import Desk
from rich.console import Console

from innkeeper.embedded import demo_proof as proof
from innkeeper.embedded.demo_board import Board
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.model import marks
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import StepEvent, StepState
from innkeeper.model.ports import Manifest
from innkeeper.model.usage_ports import Figure

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def acme(kind: str, **more: object) -> Manifest:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "left", "namespace": "inn-acme"}, **more}


async def cluster_of_acme() -> MemoryCluster:
    cluster = MemoryCluster()
    labels = {marks.MANAGED_BY: marks.MANAGER, marks.INSTANCE: "acme"}
    meta = {"name": "inn-acme", "labels": labels}
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    return cluster


async def test_a_row_that_says_running_is_not_believed_where_nothing_runs() -> None:
    cluster, desk = await cluster_of_acme(), Desk(MemoryDatabase(), name="acme")
    with pytest.raises(proof.Wrong, match="acme: row None, deployed"):
        await proof.demand_running(cluster, desk.database, "acme")
    await desk.settle(Status.RUNNING)
    with pytest.raises(proof.Wrong, match=r"acme: row running, deployed \[\], 0 ready pods"):
        await proof.demand_running(cluster, desk.database, "acme")


async def test_a_row_that_says_stopped_is_not_believed_where_a_pod_is_left() -> None:
    cluster, desk = await cluster_of_acme(), Desk(MemoryDatabase(), name="acme")
    await desk.settle(Status.STOPPED)
    await proof.demand_stopped(cluster, desk.database, "acme")
    await cluster.create(acme("Pod", spec={"containers": [{"name": "web", "image": "web:1"}]}))
    with pytest.raises(proof.Wrong, match="acme: row stopped, 1 pods"):
        await proof.demand_stopped(cluster, desk.database, "acme")


def figure(metric: str, quantity: int, instance: str = "acme") -> Figure:
    told: dict[str, Any] = {"tenant": "t1", "plan": "starter", "metric": metric, "final": False}
    return Figure(instance=instance, window_start=BEGAN, window_end=BEGAN, quantity=Decimal(quantity), **told)


def test_usage_is_believed_only_where_every_instance_used_something_and_each_operation_counts() -> None:
    figures = [figure(metric, 3) for metric in proof.USED]
    told = [*figures, figure("failures", 1), figure("cpu_seconds", 1)]
    assert proof.demand_used(told, ["acme"], 3) == {("acme", "starter"): ["3", "4", "3", "3", "3"]}
    with pytest.raises(proof.Wrong, match="3 operations of 4"):
        proof.demand_used(figures, ["acme"], 4)
    with pytest.raises(proof.Wrong, match=r"nothing of \['globex running_seconds', 'globex cpu_seconds'"):
        proof.demand_used(figures, ["acme", "globex"], 3)


async def test_a_namespace_a_volume_and_a_row_that_is_alive_are_things_left() -> None:
    cluster, desk = await cluster_of_acme(), Desk(MemoryDatabase(), name="acme")
    with pytest.raises(proof.Wrong, match=r"namespaces \['inn-acme'\], Helm records 0, volumes 0, rows \{'acme'\}"):
        await proof.demand_nothing_left(cluster, desk.database, ["acme"])
    await desk.settle(Status.UNINSTALLED)
    await cluster.create(acme("PersistentVolumeClaim"))
    with pytest.raises(proof.Wrong, match=r"volumes 1, rows \['acme'\]"):
        await proof.demand_nothing_left(cluster, desk.database, ["acme"])
    await desk.settle(Status.PURGED, Kind.PURGE)
    empty = MemoryCluster()
    counted = await proof.demand_nothing_left(empty, desk.database, ["acme"])
    assert counted == {"instances purged": 1, "operations recorded": 2, "objects left": 0}


def played(*, terminal: bool) -> str:
    """What is shown of an operation that does one step and fails in the next, and of one that is not done."""
    file = StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, color_system=None)
    with Board(console) as board:
        line, _ = board.add("acme", "provision"), board.add("globex", "stop")
        for seconds, (step, state) in enumerate(
            [("check", StepState.STARTED), ("check", StepState.DONE), ("claim", StepState.FAILED)]
        ):
            line.take(StepEvent(step=step, state=state, at=BEGAN + timedelta(seconds=seconds)))
        assert line.step == "claim failed"
        board.done(line)
    return file.getvalue()


def test_in_a_pipe_the_demo_says_a_line_for_each_operation_that_has_ended() -> None:
    (line,) = played(terminal=False).splitlines()
    assert line.startswith("  provision acme: 0.")
    assert line.endswith("(check 1.00)")


def test_on_a_terminal_the_demo_shows_what_is_done_and_what_still_runs() -> None:
    shown = played(terminal=True)
    done, running = ([line for line in shown.splitlines() if name in line][-1] for name in ("acme", "globex"))
    assert "✓" in done
    assert "check 1.00" in done
    assert "…" in running
    assert "asked" in running
