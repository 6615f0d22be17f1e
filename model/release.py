"""From what Helm's storage shows to the action that follows.

A `pending-*` revision has nobody at work on it where whoever asks is `alone`: every other Helm is fenced
(`model.fence`), so it is recovered at once. Else one that is younger than the hard limit is somebody's live run, so it
is waited for; an older one's Helm is dead (the limit killed it, or it died with its worker). Every action is followed
by reading the storage again and deciding anew: none of them is trusted to have done what it was for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from . import manifests
from .manifests import Manifest
from .ports import Ref
from .revision import (
    MARK_LABEL,
    STORAGE_TYPE,
    Revision,
    State,
    described,
    pack,
    record_name,
    revisions_of,
    storage_labels,
)

__all__ = [
    "MARK_LABEL",
    "STORAGE_TYPE",
    "Action",
    "Ambiguous",
    "Install",
    "Nothing",
    "Revision",
    "Rollback",
    "RollbackThenUpgrade",
    "State",
    "UndoAction",
    "Uninstall",
    "UninstallAction",
    "UninstallThenInstall",
    "Upgrade",
    "Wait",
    "decide",
    "decide_undo",
    "decide_uninstall",
    "described",
    "fallback",
    "is_in_flight",
    "is_settled",
    "kinds_of",
    "objects_of",
    "pack",
    "record_name",
    "revisions_of",
    "settled_at",
    "storage_labels",
    "strays",
    "wish_of",
]

_BEGUN_ANEW = frozenset({State.UNINSTALLING, State.UNINSTALLED, State.PENDING_INSTALL})
"""States of a newest revision which say that what ran before it is over, unless Helm still has it as deployed."""

_ROLLED_BACK = re.compile(r"Rollback to (\d{1,9})")


@dataclass(frozen=True)
class Nothing:
    """The storage shows what is wanted."""


@dataclass(frozen=True)
class Install:
    """There is no release: `Helm.upgrade` makes it."""


@dataclass(frozen=True)
class Upgrade:
    """There is a release with another wish, or whose last upgrade failed: `Helm.upgrade` carries it over."""


@dataclass(frozen=True)
class Wait:
    """A Helm may still be at work: read again, after `seconds` at the latest."""

    seconds: float
    because: str


@dataclass(frozen=True)
class RollbackThenUpgrade:
    """A killed Helm left the release between two revisions: `Helm.rollback` to `to`, then decide again."""

    to: int


@dataclass(frozen=True)
class UninstallThenInstall:
    """The release never ran: delete its `strays`, `Helm.uninstall`, then decide again."""


@dataclass(frozen=True)
class Uninstall:
    """Delete the release's `strays`, then `Helm.uninstall`."""


@dataclass(frozen=True)
class Rollback:
    """`Helm.rollback` to `to`, then decide again."""

    to: int


@dataclass(frozen=True)
class Ambiguous:
    """The storage cannot have come from our own acts: a person has to look."""

    why: str


Action = Nothing | Install | Upgrade | Wait | RollbackThenUpgrade | UninstallThenInstall
UninstallAction = Nothing | Wait | Uninstall
UndoAction = Nothing | Wait | Uninstall | Rollback | Ambiguous


def _ordered(revisions: Iterable[Revision]) -> list[Revision]:
    return sorted(revisions, key=lambda revision: revision.version)


def is_in_flight(revisions: Iterable[Revision]) -> bool:
    """Whether the storage shows a Helm at work, or one that died at it.

    Only the newest revision counts: a rollback leaves the pending one it recovered as it was.
    """
    ordered = _ordered(revisions)
    return bool(ordered) and ordered[-1].state.in_flight


def _live(newest: Revision, now: datetime, hard_limit: float, *, alone: bool) -> Wait | None:
    """How long the newest revision's Helm may still live, None where nobody is at work on it."""
    if alone or not newest.state.in_flight:
        return None
    left = (newest.changed + timedelta(seconds=hard_limit) - now).total_seconds()
    # The API server's stamps are whole seconds, cut: what was written at .999 looks a second older than it is.
    left += 1
    return Wait(min(left, hard_limit + 1), f"{newest} may be a live Helm's") if left > 0 else None


def _last_that_ran(revisions: Sequence[Revision]) -> Revision | None:
    """The newest deployed revision, else the newest superseded one.

    Helm marks the old revision superseded before it marks the new one deployed: killed in between, no revision is
    deployed although the old one ran.
    """
    ran = [revision for revision in revisions if revision.state.ran]
    return max(ran, key=lambda revision: (revision.state is State.DEPLOYED, revision.version), default=None)


def running_revision(revisions: Iterable[Revision]) -> Revision | None:
    """The newest deployed revision, None where none is."""
    deployed = [revision for revision in revisions if revision.state is State.DEPLOYED]
    return max(deployed, key=lambda revision: revision.version, default=None)


def fallback(revisions: Iterable[Revision], known: int | None) -> int | None:
    """The revision to go back to should an operation fail: the one known to have been ready, else the one that ran.

    None where nothing ran, or what ran is being uninstalled or installed anew.
    """
    ordered = _ordered(revisions)
    if any(revision.version == known and revision.state.ran for revision in ordered):
        return known
    ran = _last_that_ran(ordered)
    if ran is None or (ran.state is not State.DEPLOYED and ordered[-1].state in _BEGUN_ANEW):
        return None
    return ran.version


def _settled(revisions: Sequence[Revision]) -> bool:
    """Whether exactly one revision is deployed, and it is the newest."""
    deployed = [revision for revision in revisions if revision.state is State.DEPLOYED]
    return len(deployed) == 1 and deployed[0] is revisions[-1]


def settled_at(revisions: Iterable[Revision]) -> Revision | None:
    """The newest revision, where it is deployed and no other is; None where Helm's storage is not settled so."""
    ordered = _ordered(revisions)
    return ordered[-1] if ordered and _settled(ordered) else None


def is_settled(revisions: Iterable[Revision], mark: str) -> bool:
    """Whether exactly one revision is deployed, it is the newest, and it is what is wanted."""
    ordered = _ordered(revisions)
    return _settled(ordered) and wish_of(ordered[-1], ordered) == mark


def wish_of(revision: Revision, revisions: Iterable[Revision]) -> str:
    """The mark of what the revision holds; empty where it was made by somebody else, whatever its label says."""
    first = _origin(revision, revisions)
    return first.mark if first.description == described(first.mark) else ""


def _origin(revision: Revision, revisions: Iterable[Revision]) -> Revision:
    """Where a rollback went back to, over any number of them as far as they are stored; else the revision itself."""
    earlier = {each.version: each for each in revisions if each.version < revision.version}
    found = _ROLLED_BACK.fullmatch(revision.description)
    target = earlier.get(int(found[1])) if found else None
    return revision if target is None else _origin(target, earlier.values())


def _recovery(ordered: Sequence[Revision]) -> RollbackThenUpgrade | UninstallThenInstall | None:
    """What has to happen before an upgrade can be trusted, None where nothing has."""
    newest, ran = ordered[-1], _last_that_ran(ordered)
    if ran is None or newest.state in (State.UNINSTALLING, State.UNINSTALLED):
        return UninstallThenInstall()
    deployed = sum(revision.state is State.DEPLOYED for revision in ordered)
    if newest.state is State.PENDING_INSTALL and not deployed:
        return UninstallThenInstall()
    # An upgrade refuses a pending revision. It compares with one deployed revision, else with the failed one, and
    # would forget what only an older one made; and of two deployed ones it would leave the older as it is.
    torn = newest.state.in_flight or newest.state is State.UNKNOWN or deployed != 1
    return RollbackThenUpgrade(ran.version) if torn else None


def decide(
    revisions: Iterable[Revision], wanted_mark: str, now: datetime, hard_limit: float, *, alone: bool = False
) -> Action:
    """What brings the release to the wanted state.

    `now` is the API server's clock; `hard_limit` is in seconds, the longest that any Helm of ours lives; `alone` says
    that no Helm but the asker's can write.
    """
    ordered = _ordered(revisions)
    if not ordered:
        return Install()
    if live := _live(ordered[-1], now, hard_limit, alone=alone):
        return live
    return _recovery(ordered) or (Nothing() if is_settled(ordered, wanted_mark) else Upgrade())


def decide_uninstall(
    revisions: Iterable[Revision], now: datetime, hard_limit: float, *, alone: bool = False
) -> UninstallAction:
    """What makes the release gone. It goes forward only: what is half done is uninstalled, never brought back."""
    ordered = _ordered(revisions)
    if not ordered:
        return Nothing()
    return _live(ordered[-1], now, hard_limit, alone=alone) or Uninstall()


def decide_undo(
    revisions: Iterable[Revision],
    former_revision: int | None,
    now: datetime,
    hard_limit: float,
    *,
    alone: bool = False,
) -> UndoAction:
    """What brings the release back to the revision that ran before the operation; None: to there being none."""
    ordered = _ordered(revisions)
    if former_revision is None:
        return decide_uninstall(ordered, now, hard_limit, alone=alone)
    if not ordered:
        return Ambiguous(f"the release is gone, although revision {former_revision} ran before")
    newest = ordered[-1]
    if live := _live(newest, now, hard_limit, alone=alone):
        return live
    former = _as_stored(ordered, former_revision)
    if former is None:
        return Ambiguous(f"revision {former_revision}, which ran before, is no longer in Helm's history")
    if _settled(ordered) and _is_back(ordered, former):
        return Nothing()
    return Rollback(former.version)


def _as_stored(ordered: Sequence[Revision], version: int) -> Revision | None:
    """The revision, or where Helm has pruned it the newest rollback to it that ran: that one holds the same."""
    stored = {revision.version: revision for revision in ordered}
    if version in stored:
        return stored[version]
    copies = (each for each in ordered if each.state.ran and _last_target(each, stored) == version)
    return max(copies, key=lambda revision: revision.version, default=None)


def _last_target(revision: Revision, stored: Mapping[int, Revision]) -> int:
    """The number at the end of a chain of rollbacks, be it stored or not; without a rollback the revision's own."""
    found = _ROLLED_BACK.fullmatch(revision.description)
    target = int(found[1]) if found else revision.version
    if target >= revision.version:
        return revision.version
    return _last_target(stored[target], stored) if target in stored else target


def _is_back(ordered: Sequence[Revision], former: Revision) -> bool:
    """Whether the newest revision holds what the former one did."""
    newest = ordered[-1]
    wish = wish_of(newest, ordered)
    return _origin(newest, ordered) is _origin(former, ordered) or (wish != "" and wish == wish_of(former, ordered))


def objects_of(revision: Revision) -> tuple[Ref, ...]:
    """The revision's objects, hooks left out, in the order of its manifest.

    The namespace is the one rendered into the manifest, and None where the chart left it to Helm.
    """
    return tuple(Ref.to(manifest) for manifest in revision.manifest if "name" in manifest["metadata"])


def kinds_of(revisions: Iterable[Revision], former_revision: int | None = None) -> frozenset[tuple[str, str]]:
    """API version and kind of all that Helm may have to change: of what is newest, what ran, and what ran before."""
    ordered = _ordered(revisions)
    former = None if former_revision is None else _as_stored(ordered, former_revision)
    looked_at = [*ordered[-1:], _last_that_ran(ordered), former]
    return frozenset(
        (str(manifest["apiVersion"]), str(manifest["kind"]))
        for revision in {each.version: each for each in looked_at if each}.values()
        for manifest in (*revision.manifest, *revision.hooks)
    )


def strays(revisions: Iterable[Revision]) -> tuple[Ref, ...]:
    """Objects of older stored revisions that the newest does not have, kept ones left out.

    Helm deletes by its newest revision alone. Where that one failed or was killed, objects that only an older
    revision made may be left and would outlive an uninstall. Whoever deletes them checks first that they still
    carry the release's annotations.
    """
    ordered = _ordered(revisions)
    if not ordered:
        return ()
    current = set(objects_of(ordered[-1]))
    found = {
        Ref.to(manifest): None
        for revision in reversed(ordered[:-1])
        for manifest in revision.manifest
        if "name" in manifest["metadata"] and not manifests.is_kept(manifest) and not _holds_data(manifest)
    }
    return tuple(ref for ref in found if ref not in current)


def _holds_data(manifest: Manifest) -> bool:
    return manifest["kind"] in ("PersistentVolumeClaim", "PersistentVolume", "Namespace")
