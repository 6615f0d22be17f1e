"""What docs/backend.md shows runs as it stands."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from temporalio.client import Client
from temporalio.worker import Worker

from innkeeper import client as exported
from innkeeper.client import Innkeeper
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_usage import MemoryUsage
from innkeeper.model.instance import Status

GUIDE = (Path(__file__).parents[2] / "docs" / "backend.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


async def run(code: str, names: dict[str, Any]) -> None:
    compiled = compile(code, "docs/backend.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    value = eval(compiled, names)  # noqa: S307  # our own documentation
    if inspect.isawaitable(value):
        await value


async def test_the_guides_examples_run_one_after_the_other(
    client: Client, address: str, scripted_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for code in BLOCKS[:-1]:
            await run(code, names)
            if "connect()" in code:
                # Rows from memory: where they are in Supabase is what the platform tests show.
                database = MemoryDatabase()
                await Desk(database, "acme", "t1").settle(Status.RUNNING)
                names["innkeeper"] = Innkeeper(client, database, MemoryUsage(database))
    lines = printed.getvalue().splitlines()
    assert "record done" in lines
    assert any(line.startswith("running") for line in lines)
    assert "acme running" in lines
    assert [line.split()[-3:] for line in lines[-2:]] == [["acme", "api_calls", "120"], ["acme", "messages", "42"]]
    await asyncio.to_thread(asyncio.run, run(BLOCKS[-1], names))
    assert names["result"].instance == "globex"


def test_every_error_of_the_guides_table_is_exported() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE)
    assert len(rows) == 7
    assert set(rows) <= set(exported.__all__)
