"""Adoptions are asked for and previewed as everything else is: by a request, which a worker answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from innkeeper.client import Innkeeper, SyncInnkeeper
from innkeeper.client.adopting import previewed
from innkeeper.model.errors import BadInput, Refused, Unreachable
from innkeeper.model.instance import Kind
from innkeeper.model.messages import Request
from innkeeper.model.preview import Planned

SHOP: dict[str, Any] = {"namespace": "shop", "release": "web", "tenant": "t1"}


async def test_an_adoption_is_one_operation_however_often_it_is_asked(innkeeper: Innkeeper) -> None:
    told: dict[str, Any] = {**SHOP, "plan": "starter", "request_id": "adopted-1", "asked_by": "held"}
    first, again = await innkeeper.adopt("adopted", **told), await innkeeper.adopt("adopted", **told)
    assert first.run_id == again.run_id
    with pytest.raises(BadInput, match="was used with other arguments"):
        await innkeeper.adopt("adopted", **{**told, "release": "other"})
    await innkeeper._client.get_workflow_handle("instance/adopted").signal("go")
    assert (await first.result()).kind is Kind.ADOPT


async def test_a_preview_tells_what_a_worker_sees(innkeeper: Innkeeper) -> None:
    seen = await innkeeper.preview_adoption("seen", **SHOP, plan="starter")
    assert (seen.instance, seen.tenant, seen.plan, seen.namespace, seen.release) == (
        "seen",
        "t1",
        "starter",
        "shop",
        "web",
    )
    assert seen.marked == [Planned(object="Namespace shop", what="label innkeeper.dev/plan=starter")]
    assert await innkeeper.latest("seen") is None


async def test_a_preview_in_blocking_code_is_the_same(innkeeper: Innkeeper, address: str) -> None:
    def blocking() -> str:
        with SyncInnkeeper.connect(address) as client:
            return client.preview_adoption("seen", **SHOP, plan="starter").release

    assert await asyncio.to_thread(blocking) == "web"


async def test_what_would_be_refused_is_refused_in_the_preview(innkeeper: Innkeeper) -> None:
    with pytest.raises(Refused, match="'web' is no release in namespace shop"):
        await innkeeper.preview_adoption("seen", **SHOP, plan="refused")


async def test_a_preview_that_no_worker_looks_at_says_so(innkeeper: Innkeeper) -> None:
    request = Request.of(Kind.ADOPT, "unseen", request_id="unseen-1", **SHOP, plan="starter")
    with pytest.raises(Unreachable, match="no worker has looked within 1 s") as told:
        await previewed(innkeeper._client, request, "nobody-polls-here", within=timedelta(seconds=1))
    assert told.value.cause.code == "NoWorker"


async def test_a_way_to_meet_others_that_there_is_not_is_refused(innkeeper: Innkeeper) -> None:
    with pytest.raises(BadInput, match="is no way to meet another operation"):
        await innkeeper.adopt("adopted", **SHOP, plan="starter", on_conflict="later")  # type: ignore[arg-type]
