"""Drift on the command line, on real parts: found, shown with the difference, explained, and gone."""

from __future__ import annotations

import asyncio
import re
import subprocess

import pytest

from innkeeper.client import Innkeeper
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.ports import Ref

from .terminal import run, started
from .test_on_the_platform import ran, valid

WEB = Ref("apps/v1", "Deployment", "wry-web", "inn-wry")
NOW = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


async def comes_to(cluster: KubernetesCluster, replicas: int) -> None:
    """Wait until so many pods of the web serve and no others are there: what is under way is told, too."""
    counts = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
    async with asyncio.timeout(90):
        while True:
            found = await cluster.get(WEB)
            assert found is not None
            status = found.get("status") or {}
            pods = await cluster.list_objects("v1", "Pod", namespace="inn-wry")
            caught_up = status.get("observedGeneration") == found["metadata"]["generation"]
            # And one of the database.
            if caught_up and {status.get(each) for each in counts} == {replicas} and len(pods) == replicas + 1:
                return
            await asyncio.sleep(0.1)


async def heard(program: subprocess.Popen[str], words: str) -> str:
    """What a program that goes on says, up to a line with these words."""
    assert program.stdout is not None
    said = ""
    while words not in said:
        line = await asyncio.to_thread(program.stdout.readline)
        assert line, said
        said += line
    return said


async def test_drift_is_shown_with_the_difference_and_explained_with_what_to_do(
    innkeeper: Innkeeper, cluster: KubernetesCluster, platform_env: dict[str, str]
) -> None:
    await (await innkeeper.provision("wry", tenant="t1", plan="starter", asked_by="ann")).result()
    assert (await ran("freeze", "--plan", "created", env=platform_env)).code == 0
    nothing = await ran("drift", "wry", env=platform_env)
    assert "plan created is frozen" in (await ran("drift", env=platform_env)).out
    assert (await ran("unfreeze", "--plan", "created", env=platform_env)).code == 0
    assert (nothing.code, nothing.out) == (
        0,
        "no drift of wry is known; look now: innkeeper drift wry --now\n",
    )
    await cluster.patch(WEB, {"spec": {"replicas": 3}})
    await comes_to(cluster, 3)
    looked = await ran("drift", "wry", "--now", env=platform_env)
    assert looked.code == 0
    assert re.fullmatch(
        "looked at 1, left 0 alone: 1 new findings, 0 gone\n"
        rf"warning  wry  replicas-changed  Deployment inn-wry/wry-web  since {NOW}\n"
        "  - replicas: 1\n"
        r"  \+ replicas: 3\n"
        "  mend: innkeeper repair wry\n",
        looked.out,
    )
    document = (await ran("drift", "--output", "json", env=platform_env)).document
    valid(document, "DriftReport")
    assert document["reconciled"] is None
    (found,) = [each for each in document["items"] if each["instance"] == "wry"]
    assert (found["what"], found["how_bad"], found["resolved_at"]) == ("replicas-changed", "warning", None)
    explained = await ran("explain", "wry", env=platform_env)
    assert explained.code == 0
    headings = [line for line in explained.out.splitlines() if line and not line.startswith((" ", "2", "started"))]
    assert headings == ["What should be", "What is", "Why", "What ran lately", "What to do"]
    assert "  Deployment inn-wry/wry-web: replicas 3 of 1, " in explained.out
    assert "    mend: innkeeper repair wry\n    that is: a workload was scaled by hand\n" in explained.out
    assert re.search(rf"^{NOW} +[\d.]+ s +provision +done +ann +–$", explained.out, re.MULTILINE)
    assert explained.out.endswith("What to do\n  innkeeper repair wry\n")
    valid((await ran("explain", "wry", "--output", "json", env=platform_env)).document, "Explanation")
    await cluster.patch(WEB, {"spec": {"replicas": 1}})
    await comes_to(cluster, 1)
    gone = await ran("drift", "wry", "--now", "--output", "json", env=platform_env)
    valid(gone.document, "DriftReport")
    assert gone.document["reconciled"]["written"]["resolved"] == 1
    well = await ran("explain", "wry", env=platform_env)
    assert "nothing is known to be wrong" in well.out
    assert well.out.endswith("What to do\n  nothing\n")


@pytest.mark.usefixtures("worker")
async def test_an_explanation_of_an_error_tells_its_cause_and_of_nobody_what_there_is(
    innkeeper: Innkeeper, platform_env: dict[str, str]
) -> None:
    told = await ran("provision", "awry", "--tenant", "t1", "--plan", "quota", env=platform_env)
    assert told.code == 1
    explained = await ran("explain", "awry", env=platform_env)
    assert re.search(r"^  release  no deployed revision$", explained.out, re.MULTILINE)
    assert re.search(r"^  QuotaExceeded: ", explained.out, re.MULTILINE)
    assert explained.out.splitlines()[-1] == "  innkeeper repair awry"
    nobody = await ran("explain", "nobody", env=platform_env)
    assert nobody.code == 2
    assert "'nobody' is no instance" in nobody.err


def test_a_look_needs_a_temporal(platform_env: dict[str, str]) -> None:
    told = run("drift", "--now", env={**platform_env, "TEMPORAL_ADDRESS": "127.0.0.1:1"})
    assert told.code == 4
    assert run("drift", env={**platform_env, "TEMPORAL_ADDRESS": "127.0.0.1:1"}).code == 0


async def test_drift_is_repaired_asked_about_or_left_alone_while_it_is_frozen(
    innkeeper: Innkeeper, cluster: KubernetesCluster, platform_env: dict[str, str]
) -> None:
    await (await innkeeper.provision("guarded", tenant="t1", plan="watched")).result()
    web = Ref("apps/v1", "Deployment", "guarded-web", "inn-guarded")
    frozen = await ran("freeze", "guarded", "--note", "a move", "--operator", "ann", env=platform_env)
    assert frozen.code == 0
    assert re.fullmatch(
        r"instance guarded is frozen since [-\d]+ [:\d]+ UTC by ann, no repair is asked for by itself: a move; "
        r"innkeeper unfreeze guarded ends it\n",
        frozen.out,
    )
    await cluster.patch(web, {"spec": {"replicas": 2}})
    await cluster.patch(Ref("v1", "ResourceQuota", "innkeeper", "inn-guarded"), {"spec": {"hard": {"pods": "11"}}})
    held = await ran("drift", "guarded", "--now", env=platform_env)
    assert "frozen, no repair is asked for: guarded\n" in held.out
    assert frozen.out in held.out
    assert "  the plan says repair: a repair is asked for once\n" in held.out
    assert "is frozen since" in (await ran("explain", "guarded", env=platform_env)).out
    asked = await ran("attention", env=platform_env)
    assert "warning  guarded  quota-changed  ResourceQuota inn-guarded/innkeeper" in asked.out
    assert "  innkeeper repair guarded\n    to put it back\n  innkeeper freeze guarded\n" in asked.out
    document = (await ran("attention", "--output", "json", env=platform_env)).document
    valid(document, "Attention")
    assert [each["what"] for each in document["drift"] if each["instance"] == "guarded"] == ["quota-changed"]
    thawed = await ran("unfreeze", "guarded", env=platform_env)
    assert (thawed.code, thawed.out) == (0, "no longer frozen\n")
    told = await ran("drift", "guarded", "--now", env=platform_env)
    assert "a repair is asked for: guarded\n" in told.out
    handle = await innkeeper.latest("guarded")
    assert handle is not None
    await handle.result()
    gone = await ran("drift", "guarded", "--now", env=platform_env)
    assert gone.out.endswith("no drift of guarded is known\n")
    live = await cluster.get(web)
    assert live is not None
    assert live["spec"]["replicas"] == 1


async def test_what_is_frozen_wholly_refuses_people_too(innkeeper: Innkeeper, platform_env: dict[str, str]) -> None:
    await (await innkeeper.provision("still-life", tenant="t1", plan="created")).result()
    everything = await ran("freeze", "--plan", "created", "--all", "--output", "json", env=platform_env)
    valid(everything.document, "Freeze")
    assert (everything.document["scope"], everything.document["everything"]) == ("plan", True)
    refused = await ran("stop", "still-life", env=platform_env)
    assert refused.code == 2
    assert "plan created is frozen since" in refused.err
    assert "innkeeper unfreeze --plan created" in refused.err
    thawed = await ran("unfreeze", "--plan", "created", "--output", "json", env=platform_env)
    valid(thawed.document, "Unfrozen")
    assert thawed.document == {"unfrozen": True}
    assert (await ran("unfreeze", "--plan", "created", env=platform_env)).out == "it was not frozen\n"
    assert (await ran("stop", "still-life", env=platform_env)).code == 0
    both = await ran("freeze", "still-life", "--cluster", env=platform_env)
    assert (both.code, "is not the one thing to freeze" in both.err) == (2, True)


async def test_what_a_start_waits_for_is_said_while_it_waits_and_why_pods_of_what_runs_are_not_ready(
    innkeeper: Innkeeper, cluster: KubernetesCluster, platform_env: dict[str, str]
) -> None:
    await (await innkeeper.provision("roomless", tenant="t1", plan="starter")).result()
    await (await innkeeper.stop("roomless")).result()
    web = Ref("apps/v1", "Deployment", "roomless-web", "inn-roomless")
    moon = {"spec": {"template": {"spec": {"nodeSelector": {"moon": "full"}}}}}
    await cluster.patch(web, moon)
    starting = await innkeeper.start("roomless")
    async with asyncio.timeout(120):
        while "no node can take it" not in await starting.waiting_for():
            await asyncio.sleep(0.1)
    log = await ran("logs", "roomless", env=platform_env)
    assert re.search(
        r"^ready: waiting for Deployment roomless-web: .* 0/\d+ nodes are available", log.out, re.MULTILINE
    )
    document = (await ran("logs", "roomless", "--output", "json", env=platform_env)).document
    valid(document, "OperationLog")
    assert document["waiting_for"].startswith("Deployment roomless-web: ")
    explained = await ran("explain", "roomless", env=platform_env)
    assert re.search(r"^  ready: waiting for Deployment roomless-web: ", explained.out, re.MULTILINE)
    following = started("logs", "roomless", "--follow", env=platform_env)
    said = await heard(following, "no node can take it")
    await cluster.patch(web, {"spec": {"template": {"spec": {"nodeSelector": None}}}})
    await asyncio.to_thread(following.communicate, timeout=120)
    assert following.returncode == 0
    assert re.search(r"^ {12}waiting for Deployment roomless-web: .*no node can take it", said, re.MULTILINE)
    await cluster.patch(Ref("apps/v1", "StatefulSet", "roomless-db", "inn-roomless"), moon)
    async with asyncio.timeout(120):
        while "no node can take it" not in (page := await ran("explain", "roomless", env=platform_env)).out:
            await asyncio.sleep(0.5)
    line = r"^  StatefulSet inn-roomless/roomless-db: 0 of 1 pods ready: Pod roomless-db-0: no node can take it"
    assert re.search(line, page.out, re.MULTILINE)
    assert "nothing is known to be wrong" not in page.out
    assert re.search(r"^What to do\n  add nodes, ", page.out, re.MULTILINE)


async def test_attention_goes_without_drift_where_the_rows_cannot_be_read(platform_env: dict[str, str]) -> None:
    told = await ran("attention", env={**platform_env, "INNKEEPER_SUPABASE_URL": "http://127.0.0.1:1"})
    assert told.code == 0
    assert told.out.startswith("what is asked about drift is not known: Supabase did not answer")
