"""Supabase on this machine: Supabase lite on its embedded Postgres, with this package's migrations applied."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
from pydantic import BaseModel, ConfigDict

from . import cache
from .files import made_whole, private_directory, write_private
from .parts import Part
from .ports import LOOPBACK, Ports
from .processes import Child, run
from .toolchain import Node
from .waiting import NotYet, until

MIGRATIONS = Path(__file__).parent.parent / "supabase" / "migrations"
DATA = Path("supabase") / ".temp" / "data"
TEMPLATES_KEPT = 3
PROBE = "instances"
"""A table of the migrations: when a row of it can be read, all of it works."""
STARTS_WITHIN = 60.0
"""Seconds; 2 on an idle machine with two cores."""
MIGRATES_WITHIN = 180.0
"""Seconds; 3 on an idle machine with two cores, the first time, when the database is made."""


class Keys(BaseModel):
    """The secrets of one project; made once, so that tokens stay good over restarts."""

    model_config = ConfigDict(frozen=True)

    publishable: str
    """For the backend's users, with their own token: row-level security applies."""
    secret: str
    """The service role's: row-level security does not apply."""
    jwt_secret: str
    """Signs users' tokens (HS256)."""


class Supabase(Part):
    """One server process; migrations that are not applied yet are applied at every start."""

    name = "supabase"

    def __init__(
        self, directory: Path, logs: Path, ports: Ports, node: Node, lite: Path, *, migrations: Path = MIGRATIONS
    ) -> None:
        super().__init__(logs)
        self._directory = directory
        self._ports = ports
        self._lite = [str(node.tool.path), str(lite)]
        self._migrations = migrations
        self.url = ""
        """Where the API is, once it has started."""

    @property
    def keys(self) -> Keys:
        """The project's secrets, made if it has none."""
        file = private_directory(self._directory) / "keys.json"
        if not file.exists():
            made = Keys(
                publishable=f"sb_publishable_{secrets.token_urlsafe(24)}",
                secret=f"sb_secret_{secrets.token_urlsafe(24)}",
                jwt_secret=secrets.token_urlsafe(48),
            )
            write_private(file, made.model_dump_json())
        return Keys.model_validate_json(file.read_text())

    async def _start(self) -> None:
        keys = self.keys
        masked = (keys.publishable, keys.secret, keys.jwt_secret)
        port = self._ports.take("supabase")
        self._lay_out(port, keys)
        env = {**os.environ, "LITE_TELEMETRY": "0", "DO_NOT_TRACK": "1"}
        await self._migrate(env, masked)
        server = await Child.start(
            "supabase",
            [*self._lite, "start", f"--host={LOOPBACK}", "--no-admin"],
            log=self.log("supabase"),
            env=env,
            cwd=self._directory,
            secrets=masked,
        )
        self._own(server)
        url = f"http://{LOOPBACK}:{port}"
        await server.while_alive(answers(url, keys.secret, timeout=STARTS_WITHIN))
        self.url = url

    async def _migrate(self, env: Mapping[str, str], masked: Sequence[str]) -> None:
        template = cache.database(self._migrations)
        applied = self._directory / "migrations.applied"
        former = await asyncio.to_thread(_read, applied)
        if former == template.name:
            return  # Asking costs two seconds, a third of a start.
        data = self._directory / DATA
        # What a first start left that did not get this far is half a database, with nothing in it.
        if former is None and await asyncio.to_thread(_replace, data, template):
            write_private(applied, template.name)
            return
        await run(
            "supabase-migrations",
            [*self._lite, "migration", "up"],
            log=self.log("supabase-migrations"),
            env=env,
            cwd=self._directory,
            secrets=masked,
            timeout=MIGRATES_WITHIN,
        )
        if former is None:
            await asyncio.to_thread(_keep, data, template)
        write_private(applied, template.name)

    def _lay_out(self, port: int, keys: Keys) -> None:
        project = private_directory(self._directory / "supabase")
        write_private(project / "config.toml", _config(port, keys))
        shutil.rmtree(project / "migrations", ignore_errors=True)
        shutil.copytree(self._migrations, project / "migrations")


async def answers(url: str, key: str, *, timeout: float) -> None:
    """Wait until the rows of `PROBE` can be read with the service role's key.

    Raises:
        NotReady: they cannot within `timeout` seconds.
    """
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def ask() -> None:
            async with session.get(f"{url}/rest/v1/{PROBE}?limit=1") as answer:
                if answer.status != 200:
                    raise NotYet(f"reading {PROBE} answers {answer.status}: {(await answer.text())[:300]}")

        await until(f"Supabase at {url}", ask, timeout=timeout)


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except FileNotFoundError:
        return None


def _replace(data: Path, template: Path) -> bool:
    """Begin with a copy of `template`, if there is one: making a database takes seven seconds on two cores."""
    shutil.rmtree(data, ignore_errors=True)
    try:
        with made_whole(data) as draft:
            shutil.copytree(template, draft, dirs_exist_ok=True)
    except OSError:
        # There is none, or another platform is replacing it just now: then this one makes its own.
        return False
    return True


def _keep(data: Path, template: Path) -> None:
    """Keep a new database for the next platform, and of those with other migrations only the latest few."""
    if template.exists():
        return
    with made_whole(template) as draft:
        shutil.copytree(data, draft, dirs_exist_ok=True)
    kept = sorted(cache.root().glob(f"{cache.DATABASE}-*"), key=lambda made: made.stat().st_mtime, reverse=True)
    for former in kept[TEMPLATES_KEPT:]:
        shutil.rmtree(former, ignore_errors=True)


def _config(port: int, keys: Keys) -> str:
    # JSON strings are TOML strings.
    quoted = {name: json.dumps(value) for name, value in keys.model_dump().items()}
    return f"""\
[api]
port = {port}

[db]
driver = "pglite"
url = "{DATA.as_posix()}"

[auth]
enabled = true
jwt_secret = {quoted["jwt_secret"]}
jwt_expiry = 3600
enable_signup = true
publishable_key = {quoted["publishable"]}
secret_key = {quoted["secret"]}

[auth.email]
enable_confirmations = false
"""
