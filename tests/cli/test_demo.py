"""The demo is the product's promise in a minute: it is run as everybody runs it, and believed only at its last word."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from .terminal import PROGRAM

PATIENCE = 540


@pytest.mark.timeout(600)
async def test_the_demo_takes_four_instances_from_nothing_to_gone_and_proves_it(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        PROGRAM, "demo", cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(), PATIENCE)
    finally:
        if child.returncode is None:
            child.terminate()
    told = out.decode()
    assert (child.returncode, err.decode()) == (0, ""), told
    counted = "18 operations, 4 instances purged, 18 operations recorded, 0 objects left"
    assert re.fullmatch(rf"demo: ok \({counted}\) in \d+\.\d s", told.splitlines()[-1])
    drift = ["    - replicas: 3", "    + replicas: 5", "    what to do: innkeeper repair globex"]
    assert [line for line in told.splitlines() if line in drift] == drift
    assert told.count("  no drift: 4 instances looked at\n") == 2, "after the repair, and at the end"
    for name in ("acme", "globex", "initech", "hooli"):
        assert f"https://{name}.rooms.example" in told
    usage = told.partition("What they used")[2]
    assert len(re.findall(r"^ +(acme|globex|initech|hooli) +(starter|team)( +[\d.]+){5} *$", usage, re.MULTILINE)) == 4
    assert await asyncio.to_thread(os.listdir, tmp_path) == [], "nothing is left where it was run"
