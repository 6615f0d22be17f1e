"""Helm's stored revisions, read without Helm.

Helm 3 keeps every revision of a release as a Secret in the release's namespace. Reading it through the cluster costs
one request, shows a killed Helm's leftovers as they are, and tells their age by the API server's own clock.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from . import manifests
from .errors import Permanent
from .manifests import Manifest

MARK_LABEL = "innkeeper-mark"
"""The label of a stored revision that says what was wanted (`catalog.mark_of`)."""

STORAGE_TYPE = "helm.sh/release.v1"
"""The type of the Secrets that hold revisions."""

LARGEST_RECORD = 64 * 1024 * 1024
"""Bytes of a stored revision once unpacked. A Secret holds 1 MiB, which could unpack to a thousand times that."""

_FIX = "look at it with `helm history`; if the release is beyond repair, delete this Secret and repair the instance"


def described(mark: str) -> str:
    """The description of a revision that an operation makes. Labels go on to every later revision, this does not."""
    return f"Innkeeper {mark}"


def storage_labels(release: str) -> dict[str, str]:
    """The labels that select a release's revisions among the Secrets of its namespace."""
    return {"owner": "helm", "name": release}


def record_name(release: str, version: int) -> str:
    """The Secret of one revision, as Helm names it: what is stored under another name is none to Helm."""
    return f"sh.helm.release.v1.{release}.v{version}"


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
    """The label, empty where there is none. Helm hands it on to what others make: `release.wish_of` tells."""
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
        name = f"Secret {meta['namespace']}/{meta['name']}"
        try:
            version, state = int(labels["version"]), State(labels["status"])
            release = str(labels["name"])
        except (KeyError, ValueError) as error:
            raise Permanent(
                f"Helm's record has no usable labels: {error}.", code="BrokenRelease", object=name, fix=_FIX
            ) from None
        return cls(
            release=release,
            namespace=meta["namespace"],
            version=version,
            state=state,
            mark=str(labels.get(MARK_LABEL, "")),
            changed=_last_written(meta),
            secret=meta["name"],
            packed=(secret.get("data") or {}).get("release", ""),
        )

    @cached_property
    def record(self) -> dict[str, Any]:
        """All that Helm stored of the revision."""
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
        found: Any = self.record
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

    @property
    def failed_hooks(self) -> tuple[str, ...]:
        """The hooks whose last run failed, e.g. ``Job migrate``."""
        found = self._part("hooks")
        each = [hook for hook in (found if isinstance(found, list) else []) if isinstance(hook, dict)]
        failed = [hook for hook in each if (hook.get("last_run") or {}).get("phase") == "Failed"]
        return tuple(f"{hook.get('kind')} {hook.get('name')}" for hook in failed)

    def _parsed(self, text: object) -> tuple[Manifest, ...]:
        try:
            return tuple(manifests.parse(text if isinstance(text, str) else ""))
        except ValueError as error:
            raise self._broken(f"its manifest {error}") from None

    @property
    def chart(self) -> str:
        """The chart's name and version, e.g. ``room-0.1.0``."""
        return f"{self._part('chart', 'metadata', 'name')}-{self.chart_version}"

    @property
    def chart_version(self) -> str:
        """The chart's version, e.g. ``0.1.0``."""
        return str(self._part("chart", "metadata", "version"))

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
