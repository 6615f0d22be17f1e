"""A backend pays for temporalio and pydantic only, and finds what it needs under one name."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from innkeeper import client

ABSENT = ("kubernetes", "supabase", "yaml", "typer", "rich", "pydantic_settings")


def test_the_client_imports_and_works_without_any_extra() -> None:
    script = f"""
        import asyncio, importlib.abc, sys

        class Absent(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {ABSENT!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

        sys.meta_path.insert(0, Absent())
        from innkeeper.client import Innkeeper, MissingExtra
        from temporalio.client import Client
        from innkeeper.client.rows import RowsSource

        try:
            asyncio.run(RowsSource(url="http://localhost:1", key="k").open())
        except MissingExtra as missing:
            print(missing)
        assert "workflows" not in sys.modules
        assert not set({ABSENT!r}) & {{name.partition(".")[0] for name in sys.modules}}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'innkeeper[rows]'" in done.stdout


def test_what_is_exported_is_there_and_no_more() -> None:
    assert sorted(client.__all__) == client.__all__
    assert all(hasattr(client, name) for name in client.__all__)
    modules = {
        "adopting",
        "api",
        "connection",
        "delivery",
        "descriptions",
        "desk",
        "drift",
        "endings",
        "freezing",
        "handle",
        "operators",
        "pending",
    }
    modules |= {"portal", "reading", "rows", "runs", "schedules", "sync", "timeline", "updates", "usage", "waiting"}
    public = {name for name in vars(client) if not name.startswith("_")}
    assert public - set(client.__all__) <= modules
