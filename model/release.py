"""What Helm's storage shows, and which action follows from it.

Helm 3 keeps every revision of a release as a Secret in the release's namespace. It is read through the cluster and
never asked from Helm: a status costs one request, a killed Helm's leftovers show as they are, and the clock that
judges their age is the API server's own.

A `pending-*` revision younger than the hard limit is somebody's live run, so it is waited for; an older one's Helm
is dead (the limit killed it, or it died with its worker), so it is recovered. Every action is followed by reading
the storage again and deciding anew: none of them is trusted to have done what it was for.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from . import manifests
from .errors import Permanent
from .manifests import HOOK, Manifest
from .ports import Ref

MARK_LABEL = "innkeeper-mark"
"""The label of a stored revision that says what was wanted (`catalog.mark_of`)."""

STORAGE_TYPE = "helm.sh/release.v1"
"""The type of the Secrets that hold revisions."""

LARGEST_RECORD = 64 * 1024 * 1024
"""Bytes of a stored revision once unpacked. A Secret holds 1 MiB, which could unpack to a thousand times that."""

_FIX = "look at it with `helm history`; if the release is beyond repair, delete this Secret and repair the instance"


def storage_labels(release: str) -> dict[str, str]:
    """The labels that select a release's revisions among the Secrets of its namespace."""
    return {"owner": "helm", "name": release}


class State(StrEnum):
    """A revision's status, as Helm names it."""

    UNKNOWN = "unknown"
    DEPLOYED = "deployed"
    UNINSTALLED = "uninstalled"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    UNINSTALLING = "uninstalling"
    PENDING_INSTALL = "pending-install"
    PENDING_UPGRADE = "pending-upgrade"
    PENDING_ROLLBACK = "pending-rollback"

    @property
    def in_flight(self) -> bool:
        """Whether a Helm works on the release, or died while it did."""
        return self in (State.UNINSTALLING, State.PENDING_INSTALL, State.PENDING_UPGRADE, State.PENDING_ROLLBACK)

    @property
    def ran(self) -> bool:
        """Whether the revision is, or once was, what ran."""
        return self in (State.DEPLOYED, State.SUPERSEDED)


@dataclass(frozen=True)
class Revision:
    """One stored revision. Its labels are read at once, its record (the manifest) only when it is asked for.

    Reading the record raises `Permanent` where it is broken.
    """

    release: str
    namespace: str
    version: int
    state: State
    mark: str
    """What was wanted; empty for a revision that was not made by an operation."""
    changed: datetime
    """When the record was last written, by the API server's clock."""
    secret: str
    """The Secret's name."""
    packed: str
    """The record as stored; decoded by the properties."""

    @classmethod
    def of(cls, secret: Manifest) -> Revision:
        """The revision that a storage Secret holds.

        Raises:
            Permanent: the Secret's labels are not Helm's.
        """
        meta = secret["metadata"]
        labels = meta.get("labels") or {}
        name = f"Secret {meta.get('namespace')}/{meta['name']}"
        try:
            version, state = int(labels["version"]), State(labels["status"])
            release = str(labels["name"])
        except (KeyError, ValueError) as error:
            raise Permanent(
                f"Helm's record has no usable labels: {error}.", code="BrokenRelease", object=name, fix=_FIX
            ) from None
        return cls(
            release=release,
            namespace=meta.get("namespace") or "",
            version=version,
            state=state,
            mark=str(labels.get(MARK_LABEL, "")),
            changed=_last_written(meta),
            secret=meta["name"],
            packed=(secret.get("data") or {}).get("release", ""),
        )

    @cached_property
    def _record(self) -> dict[str, Any]:
        try:
            found = json.loads(_unpack(base64.b64decode(base64.b64decode(self.packed, validate=True), validate=True)))
        except (ValueError, zlib.error) as error:
            raise self._broken(str(error)) from None
        if not isinstance(found, dict):
            raise self._broken("it is not an object")
        return found

    def _broken(self, why: str) -> Permanent:
        return Permanent(
            f"Helm's record of revision {self.version} cannot be read: {why}.",
            code="BrokenRelease",
            object=f"Secret {self.namespace}/{self.secret}",
            fix=_FIX,
        )

    def _part(self, *path: str) -> Any:
        found: Any = self._record
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    @cached_property
    def manifest(self) -> tuple[Manifest, ...]:
        """The objects of the revision, hooks left out, as rendered: mostly without a namespace."""
        return self._parsed(self._part("manifest"))

    @cached_property
    def hooks(self) -> tuple[Manifest, ...]:
        """The objects that Helm's hooks make."""
        found = self._part("hooks")
        each = found if isinstance(found, list) else []
        return tuple(one for hook in each if isinstance(hook, dict) for one in self._parsed(hook.get("manifest")))

    def _parsed(self, text: object) -> tuple[Manifest, ...]:
        try:
            return tuple(manifests.parse(text if isinstance(text, str) else ""))
        except ValueError as error:
            raise self._broken(f"its manifest {error}") from None

    @property
    def chart(self) -> str:
        """The chart's name and version, e.g. ``room-0.1.0``."""
        return f"{self._part('chart', 'metadata', 'name')}-{self._part('chart', 'metadata', 'version')}"

    @property
    def description(self) -> str:
        """Helm's own sentence on the revision, e.g. ``Rollback to 3`` or the error it failed with."""
        return str(self._part("info", "description") or "")

    def __str__(self) -> str:
        return f"revision {self.version} ({self.state.value})"


def _last_written(meta: Mapping[str, Any]) -> datetime:
    """Field managers' times are the API server's; Helm's own label is by the clock of whoever ran Helm."""
    stamps = [meta.get("creationTimestamp"), *(entry.get("time") for entry in meta.get("managedFields") or [])]
    times = [datetime.fromisoformat(stamp) for stamp in stamps if stamp]
    return max(times, default=datetime.fromtimestamp(0, UTC))


def _unpack(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    unpacker = zlib.decompressobj(wbits=31)
    unpacked = unpacker.decompress(data, LARGEST_RECORD)
    if unpacker.unconsumed_tail:
        raise ValueError(f"it unpacks to more than {LARGEST_RECORD // 1024 // 1024} MiB")
    if not unpacker.eof:
        raise ValueError("it is cut off")
    return unpacked


def pack(record: Mapping[str, Any]) -> str:
    """A record as Helm stores it in `data.release`; the inverse of what `Revision` reads."""
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(json.dumps(record).encode()) + packer.flush()
    return base64.b64encode(base64.b64encode(packed)).decode()


def revisions_of(secrets: Iterable[Manifest]) -> list[Revision]:
    """The revisions that these Secrets hold, the oldest first; Secrets of another type are passed over.

    Raises:
        Permanent: the labels of one are broken.
    """
    found = [Revision.of(secret) for secret in secrets if secret.get("type") == STORAGE_TYPE]
    return sorted(found, key=lambda revision: revision.version)


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


def _live(newest: Revision, now: datetime, hard_limit: float) -> Wait | None:
    """How long the newest revision's Helm may still live, None where nobody is at work on it.

    Only the newest counts: a rollback leaves the pending revision it recovered as it was.
    """
    if not newest.state.in_flight:
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


def _settled(revisions: Sequence[Revision]) -> bool:
    """Whether exactly one revision is deployed, and it is the newest."""
    deployed = [revision for revision in revisions if revision.state is State.DEPLOYED]
    return len(deployed) == 1 and deployed[0] is revisions[-1]


def is_settled(revisions: Iterable[Revision], mark: str) -> bool:
    """Whether exactly one revision is deployed, it is the newest, and it is what is wanted."""
    ordered = _ordered(revisions)
    return _settled(ordered) and ordered[-1].mark == mark


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


def decide(revisions: Iterable[Revision], wanted_mark: str, now: datetime, hard_limit: float) -> Action:
    """What brings the release to the wanted state.

    `now` is the API server's clock; `hard_limit` is in seconds, the longest that any Helm of ours lives.
    """
    ordered = _ordered(revisions)
    if not ordered:
        return Install()
    if live := _live(ordered[-1], now, hard_limit):
        return live
    return _recovery(ordered) or (Nothing() if is_settled(ordered, wanted_mark) else Upgrade())


def decide_uninstall(revisions: Iterable[Revision], now: datetime, hard_limit: float) -> UninstallAction:
    """What makes the release gone. It goes forward only: what is half done is uninstalled, never brought back."""
    ordered = _ordered(revisions)
    if not ordered:
        return Nothing()
    return _live(ordered[-1], now, hard_limit) or Uninstall()


def decide_undo(
    revisions: Iterable[Revision], former_revision: int | None, now: datetime, hard_limit: float
) -> UndoAction:
    """What brings the release back to the revision that ran before the operation; None: to there being none."""
    ordered = _ordered(revisions)
    if former_revision is None:
        return decide_uninstall(ordered, now, hard_limit)
    if not ordered:
        return Ambiguous(f"the release is gone, although revision {former_revision} ran before")
    newest = ordered[-1]
    if live := _live(newest, now, hard_limit):
        return live
    former = next((revision for revision in ordered if revision.version == former_revision), None)
    if _settled(ordered) and _is_back(newest, former, former_revision):
        return Nothing()
    if former is None:
        return Ambiguous(f"revision {former_revision}, which ran before, is no longer in Helm's history")
    return Rollback(former_revision)


def _is_back(newest: Revision, former: Revision | None, version: int) -> bool:
    if newest.version == version:
        return True
    # Helm copies the labels of the revision it goes back to, so equal marks are equal wishes.
    return former is not None and newest.version > version and newest.mark != "" and newest.mark == former.mark


def objects_of(revision: Revision) -> tuple[Ref, ...]:
    """The revision's objects, hooks left out, in the order of its manifest.

    The namespace is the one rendered into the manifest, and None where the chart left it to Helm.
    """
    return tuple(Ref.to(manifest) for manifest in revision.manifest if "name" in manifest["metadata"])


def strays(revisions: Iterable[Revision]) -> tuple[Ref, ...]:
    """Objects of older stored revisions that the newest does not have, kept ones left out.

    Helm deletes by its newest revision alone. Where that one failed or was killed, objects that only an older
    revision made may be left and would outlive an uninstall. Whoever deletes them checks first that they still
    carry the release's annotations.
    """
    ordered = _ordered(revisions)
    if len(ordered) < 2:
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


def is_hook(manifest: Manifest) -> bool:
    """Whether Helm treats the rendered object as a hook."""
    return HOOK in manifests.annotations_of(manifest)
