"""The protocols that activities are written against: the cluster, Helm and the database, without any client's types.

Every method either does what it says and returns, or raises from `model.errors`: `Permanent` where trying again
changes nothing, `Transient` (mostly `Unreachable` or `Conflict`) where it may help. No method retries by itself.
Cancelling a method stops it; an effect may then have happened or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from pydantic import Field

from .catalog import ChartRef
from .instance import Instance, Kind, Status
from .messages import Message, OperationRecord, Request
from .record_messages import Claim, ClaimRequest, Ending, Outset

Manifest = dict[str, Any]
"""A Kubernetes object as the API server shows it (JSON, camelCase keys)."""


class Ref(NamedTuple):
    """Which object: enough to address it at the API server."""

    api_version: str
    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @classmethod
    def to(cls, manifest: Manifest) -> Ref:
        """The reference to an object that was read or rendered."""
        meta = manifest["metadata"]
        return cls(manifest["apiVersion"], manifest["kind"], meta["name"], meta.get("namespace"))


class Watch(Protocol):
    """A live view of one namespace's workloads (the kinds in `health.WATCHED`)."""

    def objects(self) -> Sequence[Manifest]:
        """What is there now, at least as new as when the watch was entered. Do not change the objects."""
        ...

    async def changed(self) -> None:
        """Return once something changed since `objects` was last called; at once if it has already."""
        ...


class Cluster(Protocol):
    """One Kubernetes cluster, by objects."""

    async def get(self, ref: Ref) -> Manifest | None:
        """The object, None where there is none."""
        ...

    async def list_objects(
        self, api_version: str, kind: str, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        """All objects of a kind with these labels, in one namespace or in all; paged internally."""
        ...

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create an object; with `dry_run` only let the API server validate it strictly.

        Raises:
            AlreadyExists: one of that name is there.
        """
        ...

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply as field manager `innkeeper`, taking over fields of other managers.

        Give `metadata.uid` to apply only to the object that was read (else `Conflict`).
        """
        ...

    async def patch(self, ref: Ref, patch: Manifest) -> Manifest | None:
        """JSON merge patch (RFC 7386); None where the object is gone.

        Give `metadata.resourceVersion` in the patch to write only onto what was read (else `Conflict`).
        """
        ...

    async def delete(self, ref: Ref, *, uid: str) -> bool:
        """Ask to delete the object with this UID, its dependents in the background.

        False where it (or its UID) is gone already. Returns before finalizers have run.
        """
        ...

    async def is_namespaced(self, api_version: str, kind: str) -> bool | None:
        """Whether the kind's objects live in namespaces; None where the API server does not know the kind."""
        ...

    async def contents(self, namespace: str) -> list[Manifest]:
        """Every object left in a namespace, of every listable kind (events left out): to name what holds it."""
        ...

    async def now(self) -> datetime:
        """The API server's clock."""
        ...

    async def version(self) -> str:
        """The API server's version, e.g. ``v1.36.3``."""
        ...

    async def api_versions(self) -> list[str]:
        """What the API server knows, as charts ask for it: ``apps/v1`` and ``apps/v1/Deployment``."""
        ...

    async def may(self, user: str, verb: str, api_version: str, kind: str, *, namespace: str) -> bool:
        """Whether the API server that answers lets a user do this to every object of the kind in the namespace."""
        ...

    def watch(self, namespace: str) -> AbstractAsyncContextManager[Watch]:
        """Watch one namespace's workloads; many at once share their connections."""
        ...


class Release(Message):
    """The wanted state of one Helm release."""

    name: str
    namespace: str
    chart: ChartRef
    values: dict[str, Any]
    secret_values: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Merged over `values` on Helm's standard input; never stored, logged or sent through Temporal."""
    mark: str
    """The digest of what is wanted; stored as the release's label `innkeeper-mark`, and in its description."""
    keep_volumes: bool = False
    """The chart forgot to keep its volumes over an uninstall: the rendered objects are told to (`model.manifests`)."""

    @property
    def all_values(self) -> dict[str, Any]:
        """The values with the secret ones merged over them, as Helm gets them: never to be stored or logged."""
        return _merged(self.values, self.secret_values)


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


class Helm(Protocol):
    """Helm's acts. What is in its storage is read through the cluster (`model.release`), never asked from here.

    `limit` is the hard limit in seconds counted from the child's start: then the child is killed and `Pending` raised.
    `acting_as` is the user whose rights Helm has, for each of its requests anew; None: the worker itself.
    """

    async def version(self) -> str:
        """Helm's version, e.g. ``v3.17.3``."""
        ...

    async def chart_digest(self, chart: ChartRef) -> str:
        """A fingerprint of the chart's content: of a directory's files, of a remote chart's address and version."""
        ...

    async def template(
        self, release: Release, *, limit: float, kube_version: str | None = None, api_versions: Sequence[str] = ()
    ) -> list[Manifest]:
        """What an install would send, hooks included.

        `kube_version` and `api_versions` are the cluster's, for charts that ask; without them, what Helm assumes.

        Raises:
            BadInput: the chart does not render, or the values do not fit its schema.
        """
        ...

    async def upgrade(self, release: Release, *, limit: float, acting_as: str | None = None) -> None:
        """Install or upgrade, without waiting for readiness (hooks are waited for: that is Helm's).

        A return is no proof: Helm says that it installed although its last write was refused. Read the storage.

        Raises:
            ReleaseFailed: Helm refused.
            Forbidden: the cluster refused; the message names the user where its rights were what it lacked.
        """
        ...

    async def rollback(
        self,
        name: str,
        namespace: str,
        revision: int,
        *,
        limit: float,
        acting_as: str | None = None,
        withheld: Sequence[str] = (),
    ) -> None:
        """Go back to a revision. What is `withheld` is in no error's text, though Helm may quote it.

        Raises:
            ReleaseFailed: Helm refused.
            Forbidden: as `upgrade`.
        """
        ...

    async def uninstall(
        self, name: str, namespace: str, *, limit: float, acting_as: str | None = None, withheld: Sequence[str] = ()
    ) -> None:
        """Uninstall; a release that is not there is done already. What is `withheld` is in no error's text.

        Raises:
            ReleaseFailed: Helm refused.
            Forbidden: as `upgrade`.
        """
        ...


class Page(Message):
    """One page of rows and where the next begins."""

    limit: int = Field(default=50, ge=1, le=1000)
    after: str | None = None
    """The cursor of the page before, None for the first."""


class InstancePage(Message):
    """Instances in the order of their names."""

    items: list[Instance]
    next: str | None = None
    """Give it as `after` to read on; None at the end."""


class OperationPage(Message):
    """Operations, the newest first."""

    items: list[OperationRecord]
    next: str | None = None


class Rows(Protocol):
    """What may be read from the database."""

    async def instance(self, name: str) -> Instance | None:
        """The instance's row."""
        ...

    async def instances(self, page: Page, *, tenant: str | None = None, status: Status | None = None) -> InstancePage:
        """Instances of one tenant or all, in one status or all."""
        ...

    async def in_transition(self, page: Page, *, before: datetime) -> InstancePage:
        """Instances in a transitional status whose row was last written before a time, by name."""
        ...

    async def operation(self, request_id: str) -> OperationRecord | None:
        """The operation that a request id names."""
        ...

    async def operations(
        self, page: Page, *, instance: str | None = None, tenant: str | None = None, kind: Kind | None = None
    ) -> OperationPage:
        """Operations of an instance, a tenant, a kind, or all."""
        ...


class Database(Rows, Protocol):
    """What operations write, too. Each write is one transaction and may be repeated."""

    async def outset(self, request_id: str, instance: str) -> Outset:
        """What an operation begins from, at one moment."""
        ...

    async def claim(self, claim: ClaimRequest) -> Claim:
        """Claim an instance for an operation (DESIGN: one SQL function; the transition table is given to it)."""
        ...

    async def finish(self, ending: Ending) -> Instance:
        """Write an operation's end and return the row as reread.

        Raises:
            Superseded: the instance's generation is no longer this operation's.
        """
        ...

    async def ping(self) -> None:
        """Read something, with the rights a worker needs.

        Raises:
            Unreachable: no answer.
            Forbidden: the key does not have a worker's rights.
        """
        ...


class Desk(Protocol):
    """Where requests are handed in: the same door for a backend, a waiting request and the sweep."""

    async def deliver(self, request: Request) -> str:
        """Start the operation, or find the run that this request id has started before; the run's id.

        Raises:
            Pending: another operation runs on the instance.
            BadInput: the request id was used with other arguments.
            Unreachable: Temporal does not answer.
        """
        ...

    async def is_running(self, instance: str) -> bool:
        """Whether an operation runs on the instance.

        Raises:
            Unreachable: Temporal does not answer.
        """
        ...
