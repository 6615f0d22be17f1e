"""From a picture of the fleet to what is wrong with it: every rule of drift, pure, instance by instance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from . import marks
from .catalog import Catalog, Plan
from .drift_around import ABSENT, judge_around, judge_secrets, judge_stop_quota
from .drift_kinds import Policy, What
from .drift_picture import Home, Picture, Volume
from .drift_pods import judge_ready, states_of
from .drift_release import deployed_of, is_current, judge_release, judge_workloads, newest_of
from .findings import MOST_NAMED, Finding, FindingRecord, Looked, Reconciled, Seen, repair_command
from .instance import Instance, Kind, Status
from .messages import Request
from .names import DRIFT_PREFIX, NAMESPACE_PREFIX, namespace_of

STUCK = timedelta(minutes=2)
"""A row in transition that nothing stands behind is stuck after this: the sweep has had its time."""

_HELD = frozenset({Status.RUNNING, Status.STOPPED})
"""Statuses in which there is a release."""


class Fleet:
    """Rows, plans and a picture of the cluster, judged together.

    Args:
        rows: all rows, or those of the one instance that is looked at.
        running: the instances of `rows` whose operation runs.
        digests: plan → its chart's fingerprint, of those whose chart can be read.
        only: the one instance that is looked at, None where all are.
    """

    def __init__(
        self,
        rows: Iterable[Instance],
        picture: Picture,
        catalog: Catalog,
        *,
        running: Collection[str],
        digests: Mapping[str, str],
        now: datetime,
        only: str | None = None,
    ) -> None:
        self._rows = {row.name: row for row in rows}
        self._picture = picture
        self._catalog = catalog
        self._running = running
        self._digests = digests
        self._now = now
        self._only = only

    def judge(self, open_on: Iterable[str] = ()) -> tuple[list[Looked], list[Finding], Reconciled]:
        """All instances that were judged, all findings, and what they come to.

        `open_on` names instances on which findings stand: those that are nowhere any more are judged as well.
        """
        looked: list[Looked] = []
        findings: list[Finding] = []
        busy = 0
        for row in self._rows.values():
            if row.status is Status.ERROR or (not row.status.settled and not self._stuck(row)):
                busy += 1
                continue
            looked.append(Looked(instance=row.name, generation=row.generation))
            findings += self._by_plan(row, self._judge(row))
        strays: dict[str, list[Finding]] = {}
        for finding in self._unowned():
            strays.setdefault(finding.instance, []).append(finding)
        nowhere = [name for name in open_on if self._only in (None, name)]
        for name in dict.fromkeys([*strays, *nowhere]):
            if name not in self._rows:
                looked.append(Looked(instance=name, generation=None))
                findings += strays.get(name, [])
        told = Reconciled(
            looked_at=len(looked),
            busy=busy,
            found=dict(sorted(Counter(each.what.value for each in findings).items())),
            named=[f"{each.instance}: {each.what.value} {each.object}" for each in findings][:MOST_NAMED],
            seen=self._seen(),
        )
        return looked, findings, told

    def _stuck(self, row: Instance) -> bool:
        return row.name not in self._running and row.updated_at < self._now - STUCK

    def _plan(self, row: Instance) -> Plan | None:
        return self._catalog.plans.get(row.plan)

    def _home(self, row: Instance) -> Home:
        return self._picture.homes.get(row.namespace) or Home(row.namespace)

    def _judge(self, row: Instance) -> Iterator[Finding]:
        if not row.status.settled:
            yield Finding(
                instance=row.name,
                what=What.TRANSITION_STUCK,
                object=f"Row {row.name}",
                wanted="an operation that runs",
                found=f"{row.status.value} since {row.updated_at:%Y-%m-%d %H:%M:%S} UTC, and none runs",
                mend=repair_command(row.name),
            )
            return
        home, plan = self._home(row), self._plan(row)
        yield from self._unowned_volumes(row.name, row.namespace)
        if row.status is Status.PURGED:
            yield from _judge_purged(row, home)
            return
        if home.namespace is None or not marks.is_ours(home.namespace, row.name, row.tenant):
            yield Finding(
                instance=row.name,
                what=What.NAMESPACE_MISSING,
                object=f"Namespace {row.namespace}",
                wanted=f"marked as {row.name} of tenant {row.tenant}",
                found="without that mark" if home.namespace else f"{ABSENT}, or without any mark",
                mend=repair_command(row.name),
            )
            return
        if plan is None:
            yield Finding(
                instance=row.name,
                what=What.PLAN_UNKNOWN,
                object=f"Plan {row.plan}",
                wanted="a plan of the catalog",
                found=ABSENT,
                mend=f"put plan {row.plan} back into the catalog, or `innkeeper upgrade {row.name} --plan …`",
            )
        else:
            yield from judge_secrets(row, plan, home)
        if row.status not in _HELD:
            yield from _judge_uninstalled(row, home)
            return
        yield from judge_release(row, plan, self._digests.get(row.plan), home)
        yield from judge_workloads(row, home)
        yield from judge_ready(row, home, self._now)
        yield from judge_stop_quota(row, home)
        # Of what is upgraded by its next start, the surroundings are still the former plan's.
        if plan is not None and not row.upgrade_pending:
            yield from judge_around(row, plan, home)

    def _by_plan(self, row: Instance, findings: Iterator[Finding]) -> Iterator[Finding]:
        """Those that the plan does not ignore, with what it says is to be done about them."""
        plan = self._plan(row)
        for each in findings:
            if plan is None:
                yield each
            elif not any(fnmatchcase(_named(each), pattern) for pattern in plan.ignore_drift):
                wanted = plan.drift.get(each.what, Policy.REPORT)
                mends = each.mend == repair_command(row.name)
                yield each.model_copy(update={"policy": wanted}) if mends else each

    def _unowned(self) -> Iterator[Finding]:
        """What carries an instance's mark and has no row."""
        known = {row.namespace for row in self._rows.values()}
        alone = None if self._only is None else namespace_of(self._only)
        places = [*self._picture.homes, *(volume.namespace for volume in self._picture.volumes)]
        for namespace in dict.fromkeys(places):
            if namespace in known or alone not in (None, namespace):
                continue
            home = self._picture.homes.get(namespace)
            owner = _owner(home) if home else None
            if home is not None and owner is not None:
                yield from _judge_unowned(owner, home)
            # Of a namespace that never was an instance's, volumes are somebody else's.
            if owner is not None or namespace.startswith(NAMESPACE_PREFIX):
                yield from self._unowned_volumes(owner or namespace.removeprefix(NAMESPACE_PREFIX), namespace)

    def _unowned_volumes(self, name: str, namespace: str) -> Iterator[Finding]:
        return (_volume(name, each) for each in self._picture.volumes if each.namespace == namespace)

    def _seen(self) -> Seen | None:
        row = self._rows.get(self._only or "")
        if row is None:
            return None
        home, plan = self._home(row), self._plan(row)
        deployed, newest = deployed_of(row, home), newest_of(row, home)
        digest = self._digests.get(row.plan)
        return Seen(
            namespace=home.namespace is not None and marks.is_ours(home.namespace, row.name, row.tenant),
            revision=deployed.version if deployed else None,
            state=newest.state.value if newest else "",
            chart=deployed.chart if deployed else "",
            wanted_chart=plan.chart.label if plan else "",
            current=is_current(row, plan, digest, deployed) if plan and digest and deployed else None,
            workloads=states_of(row, home),
            pods=len(home.pods),
            volumes=len(home.claims),
        )


def _named(finding: Finding) -> str:
    return f"{finding.what.value} {finding.object}"


def _judge_uninstalled(row: Instance, home: Home) -> Iterator[Finding]:
    newest = newest_of(row, home)
    if newest is not None:
        yield Finding(
            instance=row.name,
            what=What.STATUS_WRONG,
            object=f"Release {row.namespace}/{row.release}",
            wanted="uninstalled: no release",
            found=f"revision {newest.version}, {newest.state.value}",
            mend=repair_command(row.name),
        )


def _judge_purged(row: Instance, home: Home) -> Iterator[Finding]:
    # It may be somebody else's, or another instance's: what is adopted keeps the name that it had.
    if home.namespace is None or not marks.is_ours(home.namespace, row.name, row.tenant):
        return
    if not home.namespace["metadata"].get("deletionTimestamp"):
        yield Finding(
            instance=row.name,
            what=What.STATUS_WRONG,
            object=f"Namespace {row.namespace}",
            wanted="purged: no namespace",
            found=f"{len(home.revisions)} revisions, {len(home.claims)} volume claims, {len(home.pods)} pods",
            mend=f"kubectl delete namespace {row.namespace}",
        )


def _owner(home: Home) -> str | None:
    """The instance that a namespace without a row is marked as; None where it is none of ours, or is going."""
    if home.namespace is None:
        marked = [each.release for each in home.revisions if each.mark]
        return marked[0] if marked else None
    meta = home.namespace["metadata"]
    found: str | None = (meta.get("labels") or {}).get(marks.INSTANCE)
    return None if meta.get("deletionTimestamp") else found


def _judge_unowned(owner: str, home: Home) -> Iterator[Finding]:
    newest = {each.release: each for each in sorted(home.revisions, key=lambda each: each.version)}
    for name, revision in newest.items():
        yield Finding(
            instance=owner,
            what=What.RELEASE_UNOWNED,
            object=f"Release {home.name}/{name}",
            wanted=f"a row of instance {owner}",
            found=f"{ABSENT}; revision {revision.version}, {revision.state.value}, chart {revision.chart or 'unknown'}",
            mend="restore the row from a backup, or, where nobody needs it: "
            f"helm uninstall {name} --namespace {home.name}",
        )
    for claim in home.claims:
        yield Finding(
            instance=owner,
            what=What.VOLUME_UNOWNED,
            object=f"PersistentVolumeClaim {home.name}/{claim}",
            wanted=f"a row of instance {owner}",
            found=ABSENT,
            mend="restore the row from a backup, or, where nobody needs its data: "
            f"kubectl delete persistentvolumeclaim {claim} --namespace {home.name}",
        )
    if not newest and not home.claims:
        yield Finding(
            instance=owner,
            what=What.NAMESPACE_UNOWNED,
            object=f"Namespace {home.name}",
            wanted=f"a row of instance {owner}",
            found=ABSENT,
            mend=f"restore the row from a backup, or, where nobody needs it: kubectl delete namespace {home.name}",
        )


def _volume(name: str, volume: Volume) -> Finding:
    return Finding(
        instance=name,
        what=What.VOLUME_UNOWNED,
        object=f"PersistentVolume {volume.name}",
        wanted=f"claimed by {volume.namespace}/{volume.claim}",
        found="Released: its claim is gone",
        mend=f"where nobody needs its data: kubectl delete persistentvolume {volume.name}",
    )


def repair_of(row: Instance, finding: FindingRecord) -> Request:
    """The repair that a plan's policy asks for: the same request for the same finding, however often it is seen."""
    return Request(
        kind=Kind.REPAIR,
        instance=row.name,
        request_id=f"{DRIFT_PREFIX}{row.name}-{finding.id}",
        tenant=row.tenant,
        asked_by="drift",
    )
