"""The client for blocking code, Django and Flask among it: the asynchronous one, called through a portal.

Each method is derived from its asynchronous namesake, parameters, types and documentation with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec

from .api import Innkeeper
from .handle import OperationHandle
from .portal import Portal, Twin, blocking, iterating

P = ParamSpec("P")


class SyncOperationHandle(Twin[OperationHandle]):
    """A blocking `OperationHandle`."""

    @property
    def instance(self) -> str:
        """The instance's name."""
        return self._async.instance

    @property
    def run_id(self) -> str | None:
        """The operation's run at Temporal; None of a request that waits for its turn."""
        return self._async.run_id

    def __repr__(self) -> str:
        return f"Sync{self._async!r}"

    result = blocking(OperationHandle.result)
    progress = iterating(OperationHandle.progress)
    events = blocking(OperationHandle.events)
    cancel = blocking(OperationHandle.cancel)
    describe = blocking(OperationHandle.describe)
    waiting_for = blocking(OperationHandle.waiting_for)
    timeline = blocking(OperationHandle.timeline)


def _asking(
    method: Callable[Concatenate[Innkeeper, P], Coroutine[Any, Any, OperationHandle]],
) -> Callable[Concatenate[Twin[Innkeeper], P], SyncOperationHandle]:
    ask = blocking(method)

    @functools.wraps(method)
    def twin(self: Twin[Innkeeper], /, *args: P.args, **kwargs: P.kwargs) -> SyncOperationHandle:
        return SyncOperationHandle(ask(self, *args, **kwargs), self._portal)

    return twin


def _connecting(
    connect: Callable[P, Coroutine[Any, Any, Innkeeper]],
) -> Callable[Concatenate[type[SyncInnkeeper], P], SyncInnkeeper]:
    # The function behind the bound method: what is shown as the signature then loses `cls` once, not twice.
    @functools.wraps(getattr(connect, "__func__", connect))
    def twin(cls: type[SyncInnkeeper], /, *args: P.args, **kwargs: P.kwargs) -> SyncInnkeeper:
        portal = Portal()
        try:
            return cls(portal.run(connect(*args, **kwargs)), portal)
        except BaseException:
            portal.close()
            raise

    return twin


class SyncInnkeeper(Twin[Innkeeper]):
    """A blocking `Innkeeper` that any number of threads may share. Connect after forking, never before.

    >>> with SyncInnkeeper.connect(address) as innkeeper:
    ...     result = innkeeper.provision("acme", tenant="t1", plan="starter").result()
    >>> result.outcome.value
    'done'
    """

    connect = classmethod(_connecting(Innkeeper.connect))

    provision = _asking(Innkeeper.provision)
    adopt = _asking(Innkeeper.adopt)
    stop = _asking(Innkeeper.stop)
    start = _asking(Innkeeper.start)
    restart = _asking(Innkeeper.restart)
    upgrade = _asking(Innkeeper.upgrade)
    repair = _asking(Innkeeper.repair)
    uninstall = _asking(Innkeeper.uninstall)
    purge = _asking(Innkeeper.purge)
    handle = _asking(Innkeeper.handle)

    preview_adoption = blocking(Innkeeper.preview_adoption)
    decide = blocking(Innkeeper.decide)
    attention = blocking(Innkeeper.attention)
    parked_runs = blocking(Innkeeper.parked_runs)

    get = blocking(Innkeeper.get)
    list = blocking(Innkeeper.list)
    list_all = iterating(Innkeeper.list_all)
    operation = blocking(Innkeeper.operation)
    operations = blocking(Innkeeper.operations)

    record_usage = blocking(Innkeeper.record_usage)
    record_activity = blocking(Innkeeper.record_activity)
    record_usage_batch = blocking(Innkeeper.record_usage_batch)
    meter = blocking(Innkeeper.meter)
    usage = blocking(Innkeeper.usage)
    usage_all = iterating(Innkeeper.usage_all)
    findings = blocking(Innkeeper.findings)
    reconcile = blocking(Innkeeper.reconcile)
    explain = blocking(Innkeeper.explain)

    freeze = blocking(Innkeeper.freeze)
    unfreeze = blocking(Innkeeper.unfreeze)
    freezes = blocking(Innkeeper.freezes)

    def handle_for(self, name: str, run_id: str) -> SyncOperationHandle:
        """The handle of a known run again; asks nobody.

        Raises:
            BadInput: the name cannot be an instance's.
        """
        return SyncOperationHandle(self._async.handle_for(name, run_id), self._portal)

    def latest(self, name: str) -> SyncOperationHandle | None:
        """The handle of the operation that runs on an instance, else of its last; None where Temporal knows none.

        Raises:
            BadInput: the name cannot be an instance's.
            Unreachable: Temporal does not answer.
        """
        handle = self._portal.run(self._async.latest(name))
        return None if handle is None else SyncOperationHandle(handle, self._portal)

    def close(self) -> None:
        """Close the connections and end the client's thread; calls that still wait are cancelled."""
        if not self._portal.closed:
            self._portal.run(self._async.close())
        self._portal.close()

    def __enter__(self) -> SyncInnkeeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
