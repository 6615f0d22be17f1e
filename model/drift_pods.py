"""Whether the pods of an instance's workloads are ready: what one look can say of that, and a close one of the reason.

A look sees a moment. Pods that were asked for, or made, a short while ago may still be starting: of those nothing is
said, as of instances that an operation works on. What has not been ready by then is no start any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from . import health
from .drift_kinds import What
from .drift_picture import Home, Workload
from .drift_release import deployed_of, place_of
from .findings import Finding, WorkloadState, explain_command
from .instance import Instance, Status
from .ports import Ref

STARTING = timedelta(minutes=2)
"""For so long after they were asked for, or made, pods may be starting."""

_APPS = "apps/v1"


def judge_ready(row: Instance, home: Home, now: datetime) -> Iterator[Finding]:
    """Workloads of which not all pods are ready, although the row says that the instance runs."""
    deployed = deployed_of(row, home)
    if deployed is None or row.status is not Status.RUNNING:
        return
    since = (now - STARTING).strftime("%Y-%m-%dT%H:%M:%SZ")
    for wanted in deployed.workloads:
        key = (wanted.kind, wanted.name)
        counts = home.counts.get(key)
        if counts is None or counts.ready >= counts.wanted:
            continue
        if max(counts.asked_at, home.newest_pod.get(key, "")) <= since:
            yield Finding(
                instance=row.name,
                what=What.PARTLY_READY if counts.ready else What.NOT_READY,
                object=place_of(row, wanted),
                wanted=f"ready pods: {counts.wanted}",
                found=f"ready pods: {counts.ready}",
                mend=explain_command(row.name),
            )


def states_of(row: Instance, home: Home) -> list[WorkloadState]:
    """The release's workloads as they are, for whoever looks at one instance."""
    deployed = deployed_of(row, home)
    wanted = {(each.kind, each.name): each for each in (deployed.workloads if deployed else ())}
    return [
        _state(row, live, wanted[key].replicas if key in wanted and key not in home.autoscaled else None, home)
        for key, live in sorted(home.workloads.items())
    ]


def _state(row: Instance, live: Workload, replicas: int | None, home: Home) -> WorkloadState:
    counts = home.counts.get((live.kind, live.name))
    waits_for, fix = _why(live, home)
    return WorkloadState(
        object=place_of(row, live),
        wanted=replicas,
        found=live.replicas,
        images=[image for _, image in live.images],
        pods=counts.wanted if counts else None,
        ready=counts.ready if counts else None,
        waits_for=waits_for,
        fix=fix,
    )


def _why(live: Workload, home: Home) -> tuple[str, str]:
    """What a workload waits for, or failed by, and what to do about it; empty where it is ready."""
    ref = Ref(_APPS, live.kind, live.name, home.name)
    found = health.assess([ref], home.objects)
    if isinstance(found, health.Ready):
        return "", ""
    if found.cause is not None:
        return found.cause.message.rstrip("."), found.cause.fix
    look = f"look at its pods' readiness probes and logs: kubectl describe pods --namespace {home.name}"
    return found.waiting_for.removeprefix(f"{ref.kind} {ref.name}: "), look
