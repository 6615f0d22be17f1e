"""Drift on the command line, on real parts: found, shown with the difference, explained, and gone."""

from __future__ import annotations

import re

import pytest

from innkeeper.client import Innkeeper
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.ports import Ref

from .terminal import run
from .test_on_the_platform import ran, valid

WEB = Ref("apps/v1", "Deployment", "wry-web", "inn-wry")
NOW = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


async def test_drift_is_shown_with_the_difference_and_explained_with_what_to_do(
    innkeeper: Innkeeper, cluster: KubernetesCluster, platform_env: dict[str, str]
) -> None:
    await (await innkeeper.provision("wry", tenant="t1", plan="starter", asked_by="ann")).result()
    nothing = await ran("drift", "wry", env=platform_env)
    assert (nothing.code, nothing.out) == (
        0,
        "no drift of wry is known; look now: innkeeper drift wry --now\n",
    )
    await cluster.patch(WEB, {"spec": {"replicas": 3}})
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
