"""The release and what runs of it against what the row and the plan say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import wishes
from .catalog import Plan
from .drift_around import ABSENT, work_of
from .drift_kinds import What
from .drift_picture import SCALED, Home, Stored, Workload
from .findings import Finding, repair_command
from .instance import Instance, Status
from .revision import State


def deployed_of(row: Instance, home: Home) -> Stored | None:
    """The newest deployed revision of the instance's release."""
    found = [each for each in home.revisions if each.release == row.release and each.state is State.DEPLOYED]
    return max(found, key=lambda each: each.version, default=None)


def newest_of(row: Instance, home: Home) -> Stored | None:
    """The newest revision of the instance's release, superseded ones left out."""
    found = [each for each in home.revisions if each.release == row.release]
    return max(found, key=lambda each: each.version, default=None)


def is_current(row: Instance, plan: Plan, digest: str, deployed: Stored) -> bool:
    """Whether the deployed revision is what the plan wants now; `digest` is that of the plan's chart."""
    wanted = wishes.wanted_release(work_of(row), plan, chart_digest=digest, secret_values={})
    return deployed.ours and deployed.mark == wanted.mark


def judge_release(row: Instance, plan: Plan | None, digest: str | None, home: Home) -> Iterator[Finding]:
    """What is wrong with the release itself. `digest` is that of the plan's chart, None where it cannot be read."""
    where = f"Release {row.namespace}/{row.release}"
    deployed, newest = deployed_of(row, home), newest_of(row, home)
    repair, upgrade = repair_command(row.name), f"innkeeper upgrade {row.name}"
    if newest is None and row.status is Status.STOPPED and row.upgrade_pending:
        return  # The stop found none: the row says that the next start makes it.
    if deployed is None or newest is None:
        wanted = f"revision {row.revision}, deployed" if row.revision else "a deployed revision"
        found = f"revision {newest.version}, {newest.state.value}" if newest else ABSENT
        if row.status is Status.STOPPED:
            repair = f"innkeeper start {row.name}"
        yield _finding(row, What.RELEASE_MISSING, where, wanted, found, repair)
        return
    torn = next((each.broken for each in home.revisions if each.release == row.release and each.broken), "")
    if newest.state is not State.DEPLOYED or torn:
        found = torn or f"revision {newest.version}, {newest.state.value}"
        yield _finding(
            row, What.RELEASE_UNSETTLED, where, f"revision {deployed.version}, deployed and the newest", found, repair
        )
    for hook in newest.failed_hooks:
        look = f"kubectl describe {hook.lower()} --namespace {row.namespace}"
        yield _finding(row, What.HOOK_FAILED, f"{where} hook {hook}", "Succeeded", "Failed", look)
    if not deployed.broken and (row.revision not in (None, deployed.version) or not deployed.ours):
        yield _finding(
            row,
            What.RELEASE_BY_HAND,
            where,
            f"revision {row.revision or deployed.version}, by innkeeper",
            f"revision {deployed.version}, {'by innkeeper' if deployed.ours else 'by somebody else'}, "
            f"chart {deployed.chart}",
            upgrade,
        )
    if plan is None or row.upgrade_pending:
        return
    pinned = plan.chart.version
    if pinned is not None and deployed.chart_version != pinned:
        yield _finding(
            row, What.CHART_VERSION, where, f"version: {pinned}", f"version: {deployed.chart_version}", upgrade
        )
    elif deployed.ours and digest is not None and not is_current(row, plan, digest, deployed):
        yield _finding(
            row,
            What.PLAN_OUTDATED,
            where,
            f"plan {row.plan} as the catalog has it now",
            f"revision {deployed.version}, chart {deployed.chart}, of an earlier plan",
            upgrade,
        )


def judge_workloads(row: Instance, home: Home) -> Iterator[Finding]:
    """Workloads that were deleted, scaled or given other images by hand, and a status that the pods belie."""
    deployed = deployed_of(row, home)
    stopped = row.status is Status.STOPPED
    mend = repair_command(row.name)
    # A repair of what is stopped holds it stopped, and nothing more.
    again = f"innkeeper start {row.name}; {mend}" if stopped else mend
    for wanted in deployed.workloads if deployed else ():
        where = place_of(row, wanted)
        live = home.workloads.get((wanted.kind, wanted.name))
        if live is None:
            yield _finding(row, What.WORKLOAD_MISSING, where, "replicas: " + _count(wanted.replicas), ABSENT, again)
            continue
        replicas = 0 if stopped and wanted.kind in SCALED else wanted.replicas
        scaled = (wanted.kind, wanted.name) in home.autoscaled and not stopped
        if replicas != live.replicas and not scaled:
            yield _finding(
                row,
                What.REPLICAS_CHANGED,
                where,
                f"replicas: {_count(replicas)}",
                f"replicas: {_count(live.replicas)}",
                mend,
            )
        found = dict(live.images)
        if others := wanted.other_images(live):
            yield _finding(
                row,
                What.IMAGE_CHANGED,
                where,
                "\n".join(f"{name}: {image}" for name, image in others),
                "\n".join(f"{name}: {found.get(name, ABSENT)}" for name, _ in others),
                again,
            )
    yield from _judge_pods(row, home, deployed.workloads if deployed else ())


def _judge_pods(row: Instance, home: Home, workloads: Sequence[Workload]) -> Iterator[Finding]:
    wants = sum(
        each.replicas or 0
        for each in workloads
        if each.kind in SCALED and (each.kind, each.name) not in home.autoscaled
    )
    stopped = row.status is Status.STOPPED
    if bool(home.pods) if stopped else wants and not home.pods:
        yield _finding(
            row,
            What.STATUS_WRONG,
            f"Namespace {row.namespace}",
            f"{row.status.value}: {'no pods' if stopped else 'pods'}",
            f"{len(home.pods)} pods: {', '.join(sorted(home.pods)[:5])}" if home.pods else "no pods",
            repair_command(row.name),
        )


def place_of(row: Instance, workload: Workload) -> str:
    """Which object a workload of the instance is, for people."""
    return f"{workload.kind} {row.namespace}/{workload.name}"


def _count(replicas: int | None) -> str:
    return "–" if replicas is None else str(replicas)


def _finding(row: Instance, what: What, where: str, wanted: str, found: str, mend: str) -> Finding:
    return Finding(instance=row.name, what=what, object=where, wanted=wanted, found=found, mend=mend)
