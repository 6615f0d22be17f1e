"""Migrations over a database that an earlier version wrote, and what its workers may go on doing meanwhile."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import pytest
from desk import Desk

from innkeeper.embedded import builds
from innkeeper.embedded.ports import Ports
from innkeeper.embedded.supabase import MIGRATIONS, Supabase
from innkeeper.gateways.database import SupabaseDatabase, read
from innkeeper.model.errors import Permanent
from innkeeper.model.instance import TRANSITIONS, Instance, Kind, Status
from innkeeper.model.messages import OperationRecord, Outcome, Request
from innkeeper.model.record_messages import Claim, Verdict

FILES = sorted(MIGRATIONS.glob("*.sql"))
FIRST_SCHEMA = [file for file in FILES if file.name < "20261124"]


class Project:
    """A Supabase of its own, whose migrations a test chooses."""

    def __init__(self, directory: Path) -> None:
        self.migrations = directory / "migrations"
        self._directory = directory
        self._supabase: Supabase | None = None
        for made in (self.migrations, directory / "logs"):
            made.mkdir()

    async def migrate(self, files: list[Path]) -> None:
        """Start with these migrations too, over what is there."""
        for file in files:
            shutil.copy(file, self.migrations)
        await self.stop()
        node = await builds.ensure_node(None, print)
        lite = await builds.ensure_lite(node, print)
        ports = Ports(self._directory / "ports.json")
        self._supabase = Supabase(
            self._directory / "supabase", self._directory / "logs", ports, node, lite, migrations=self.migrations
        )
        await self._supabase.start()

    async def connect(self) -> SupabaseDatabase:
        """This version's gateway to it."""
        assert self._supabase is not None
        return await SupabaseDatabase.connect(self._supabase.url, self._supabase.keys.secret)

    async def claim_as_before(self, request: Request) -> Claim:
        """A claim as the first version's workers make it."""
        transition = TRANSITIONS[request.kind]
        namespace, release = request.home
        told = await self._call(
            "innkeeper_claim",
            **request.model_dump(mode="json", include={"request_id", "kind", "instance", "tenant", "plan", "asked_by"}),
            digest=request.digest,
            namespace=namespace,
            release=release,
            workflow_id=f"instance/{request.instance}",
            run_id="run",
            allowed_from=sorted(status.value for status in transition.allowed_from),
            during=transition.during.value,
            creates=transition.creates,
        )
        instance, operation = read(Instance, told.pop("instance")), read(OperationRecord, told.pop("operation"))
        return Claim.model_validate({**told, "instance": instance, "operation": operation})

    async def finish_as_before(self, claim: Claim, status: Status) -> dict[str, Any]:
        """An ending as the first version's workers write it."""
        assert claim.operation is not None
        ending = {
            "request_id": claim.operation.id,
            "instance": claim.operation.instance,
            "generation": claim.generation,
            "status": status.value,
            "outcome": "done",
            "url": None,
            "revision": 3,
            "cause": None,
            "steps": [],
        }
        return await self._call("innkeeper_finish", **ending)

    async def _call(self, function: str, **arguments: Any) -> dict[str, Any]:
        assert self._supabase is not None
        key = self._supabase.keys.secret
        async with httpx.AsyncClient(headers={"apikey": key, "Authorization": f"Bearer {key}"}) as http:
            answer = await http.post(f"{self._supabase.url}/rest/v1/rpc/{function}", json=arguments)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    async def stop(self) -> None:
        """Stop it; its data stays."""
        if self._supabase is not None:
            await self._supabase.stop()


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Project]:
    """A project that the first version set up."""
    made = Project(tmp_path)
    await made.migrate(FIRST_SCHEMA)
    yield made
    await made.stop()


async def test_rows_of_the_first_schema_are_carried_on(project: Project) -> None:
    async with await project.connect() as database:
        with pytest.raises(Permanent, match="schema is at 1"):
            await database.ping()
        stopped, stopping, made = Desk(database), Desk(database), Desk(database)
        ended = await project.claim_as_before(stopped.request(Kind.PROVISION))
        await project.finish_as_before(ended, Status.STOPPED)
        running = await project.claim_as_before(stopping.request(Kind.PROVISION))
        await project.finish_as_before(running, Status.RUNNING)
        stop, provision = stopping.request(Kind.STOP), made.request(Kind.PROVISION)
        first = [await project.claim_as_before(each) for each in (stop, provision)]
        rows = [await desk.row() for desk in (stopped, stopping, made)]

    await project.migrate(FILES)

    async with await project.connect() as database:
        await database.ping()
        stopped, stopping, made = (Desk(database, row.name, row.tenant) for row in rows)
        assert [await desk.row() for desk in (stopped, stopping, made)] == rows
        assert ended.operation is not None
        record = await stopped.record(ended.operation.id)
        assert (record.outcome, record.revision, record.decisions) == (Outcome.DONE, 3, [])
        again = [await stopping.ask(stop), await made.ask(provision)]
        assert [claim.generation for claim in again] == [claim.generation for claim in first]
        assert [(claim.former, claim.found, claim.former_plan) for claim in again] == [
            (Status.RUNNING, Status.RUNNING, "starter"),
            (None, None, None),
        ]
        assert (await stopping.claim(Kind.REPAIR)).found is Status.STOPPING
        upgrade = await stopped.claim(Kind.UPGRADE, plan="pro")
        assert (upgrade.former, upgrade.found, upgrade.former_plan) == (Status.STOPPED, Status.STOPPED, "starter")

        # A worker of the first version, which is replaced after the database only, knows nothing of pending upgrades.
        assert (await project.finish_as_before(again[1], Status.RUNNING))["verdict"] == "written"
        assert ((await made.row()).status, (await made.row()).revision) == (Status.RUNNING, 3)
        await stopped.finish(upgrade, Status.STOPPED, upgrade_pending=True)
        start = await stopped.claim(Kind.START)
        assert start.verdict is Verdict.CLAIMED
        await project.finish_as_before(start, Status.RUNNING)
        assert ((await stopped.row()).plan, (await stopped.row()).upgrade_pending) == ("pro", True)


@pytest.mark.parametrize(
    ("name", "values"), [("instance_status", Status), ("operation_kind", Kind), ("operation_outcome", Outcome)]
)
def test_the_databases_enums_are_the_models(name: str, values: type[StrEnum]) -> None:
    listed: list[str] = []
    for statement in "".join(file.read_text() for file in FILES).split(";"):
        if made := re.search(rf"create type public\.{name} as enum \((.+)\)", statement, re.DOTALL):
            listed = re.findall(r"'(\w+)'", made[1])
        elif added := re.search(rf"alter type public\.{name} add value '(\w+)' after '(\w+)'", statement):
            listed.insert(listed.index(added[2]) + 1, added[1])
    assert listed == [value.value for value in values]


def test_the_index_of_what_is_in_transition_covers_every_such_status() -> None:
    [*_, listed] = re.findall(
        r"create index instances_in_transition on .+?where status in \((.+?)\);",
        "".join(file.read_text() for file in FILES),
        re.DOTALL,
    )
    assert re.findall(r"'(\w+)'", listed) == [status.value for status in Status if not status.settled]
