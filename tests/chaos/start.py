"""Bringing an instance into the state that an operation starts in: the activities by hand, without Temporal.

That is quick enough for every cell to begin with an instance of its own, and tells start states that no client can
ask for: operations that were lost in the middle. What results is checked against the model before anything is played.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

from temporalio.testing import ActivityEnvironment

from innkeeper.model import names
from innkeeper.model.claim import work_of
from innkeeper.model.errors import AlreadyExists
from innkeeper.model.instance import TRANSITIONS, Kind, Status
from innkeeper.model.messages import Outcome, Prepared, Ready, Request, Work
from innkeeper.model.ports import Cluster, Database, Ref
from innkeeper.model.record_messages import ClaimRequest, Ending

from .insist import insist
from .scenarios import TENANT, Done, Scenario
from .world import FOREIGN

STEPS: dict[Kind, tuple[str, ...]] = {
    Kind.PROVISION: ("prepare", "release", "ready"),
    Kind.ADOPT: ("mark", "ready"),
    Kind.STOP: ("scale_down", "gone"),
    Kind.START: ("scale_up", "ready"),
    Kind.UPGRADE: ("prepare", "release", "ready"),
    Kind.UNINSTALL: ("uninstall", "gone"),
    Kind.PURGE: ("uninstall", "delete"),
}
"""The activities of each kind, as its workflow does them where nothing goes wrong."""

ENDS = {
    Kind.PROVISION: Status.RUNNING,
    Kind.STOP: Status.STOPPED,
    Kind.UPGRADE: Status.STOPPED,
    Kind.UNINSTALL: Status.UNINSTALLED,
}
"""In what each kind ends that leads to a start state; only what is stopped is upgraded on the way."""


AT_ONCE = 8
"""Instances that are brought to where they start at the same time."""


def request_of(instance: str, kind: Kind, plan: str | None, request_id: str) -> Request:
    """The request for an operation; what is adopted is where the instance would be made."""
    tenant = TENANT if TRANSITIONS[kind].creates else None
    home = names.namespace_of(instance)
    return Request.of(kind, instance, request_id=request_id, tenant=tenant, plan=plan, namespace=home)


class Hand:
    """Does operations by hand."""

    def __init__(
        self,
        steps: Iterable[Callable[..., Any]],
        cluster_of: Callable[[str], Cluster],
        rows: Database,
        install: Callable[[str], Awaitable[None]],
    ) -> None:
        self._install = install
        self._steps = {step.__name__: step for step in steps}
        self._cluster_of = cluster_of
        self._rows = rows
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._environment = ActivityEnvironment()
        self._environment.info = dataclasses.replace(
            ActivityEnvironment.default_info(),
            start_to_close_timeout=timedelta(minutes=2),
            schedule_to_close_timeout=None,
        )

    async def bring(self, instance: str, scenario: Scenario) -> None:
        """Do what comes before the operation, one after the other."""
        async with self._slots:
            if scenario.by_hand:
                await self._install(instance)
            for number, done in enumerate(scenario.start):
                await self._operate(instance, done, f"{instance}-{number}")
            await insist(lambda: self._leave_foreign(instance))

    async def _leave_foreign(self, instance: str) -> None:
        namespace = names.namespace_of(instance)
        cluster = self._cluster_of(instance)
        if await cluster.get(Ref("v1", "Namespace", namespace)) is not None:
            meta = {"name": FOREIGN, "namespace": namespace}
            theirs = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": meta,
                "data": {"theirs": "nobody's business"},
            }
            with contextlib.suppress(AlreadyExists):
                await cluster.create(theirs)

    async def _operate(self, instance: str, done: Done, request_id: str) -> None:
        request = request_of(instance, done.kind, done.plan, request_id)
        wanted = ClaimRequest(
            request=request,
            workflow_id=names.workflow_id_of(instance),
            run_id=request_id,
            namespace=names.namespace_of(instance),
            release=names.release_of(instance),
        )
        claim = await insist(lambda: self._rows.claim(wanted))
        assert claim.instance is not None
        work = work_of(request, claim.instance, claim)
        waits = done.kind is Kind.UPGRADE and claim.former is Status.STOPPED
        ready: Ready | None = None
        for step in STEPS[done.kind][: 0 if waits else done.lost_after]:
            told = await self._do(step, work)
            if isinstance(told, Prepared):
                work = work.model_copy(update={"former_revision": told.former_revision})
            ready = told if isinstance(told, Ready) else ready
        if done.lost_after is not None:
            return
        ending = Ending(
            request_id=request_id,
            instance=instance,
            generation=claim.generation,
            status=ENDS[done.kind],
            outcome=Outcome.DONE,
            url=ready.url if ready else None,
            revision=ready.revision if ready else None,
            upgrade_pending=waits,
        )
        await insist(lambda: self._rows.finish(ending))

    async def _do(self, step: str, work: Work) -> Any:
        return await insist(lambda: self._environment.run(self._steps[step], work))
