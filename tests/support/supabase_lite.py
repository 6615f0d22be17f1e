"""A Supabase for tests of the rows alone: Supabase lite with this repository's migrations, without a whole platform."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from innkeeper.embedded import builds
from innkeeper.embedded.processes import GUARD

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"
PATIENCE = 60.0


@dataclass(frozen=True)
class User:
    """Somebody who signed up."""

    id: str
    token: str


@dataclass(frozen=True)
class SupabaseLite:
    """A running Supabase lite."""

    url: str
    secret_key: str
    publishable_key: str
    jwt_secret: str

    def sign_up(self, **metadata: str) -> User:
        """A new user, with what a user may say of itself in its `user_metadata`."""
        answer = httpx.post(
            f"{self.url}/auth/v1/signup",
            headers={"apikey": self.publishable_key},
            json={
                "email": f"{secrets.token_hex(8)}@example.com",
                "password": secrets.token_urlsafe(16),
                "data": metadata,
            },
        )
        answer.raise_for_status()
        told = answer.json()
        return User(told["user"]["id"], told["access_token"])

    def token(self, **claims: Any) -> str:
        """A token as the project's own authentication would sign it, with claims of choice."""
        now = int(time.time())
        body = {"aud": "authenticated", "role": "authenticated", "iat": now, "exp": now + 3600, **claims}
        head = f"{_base64({'alg': 'HS256', 'typ': 'JWT'})}.{_base64(body)}"
        signature = hmac.new(self.jwt_secret.encode(), head.encode(), hashlib.sha256).digest()
        return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _base64(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@contextmanager
def supabase_lite(directory: Path, node: Path, lite: Path) -> Iterator[SupabaseLite]:
    """Supabase lite on a free port, its data in `directory`; stopped on the way out."""
    keys = {"SUPABASE_SECRET_KEY": _key("secret"), "SUPABASE_PUBLISHABLE_KEY": _key("publishable")}
    jwt_secret = secrets.token_urlsafe(48)
    port = _free_port()
    home = directory / "supabase"
    home.mkdir()
    (home / "migrations").symlink_to(MIGRATIONS)
    (home / "config.toml").write_text(_config(port, jwt_secret))
    environment = {**os.environ, **keys, "LITE_TELEMETRY": "0"}
    subprocess.run(
        [node, lite, "migration", "up"],
        cwd=directory,
        env=environment,
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    reading, writing = os.pipe()
    with (directory / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-I", GUARD, str(reading), node, lite, "start", "--no-admin"],
            cwd=directory,
            env=environment,
            stdout=log,
            stderr=log,
            pass_fds=(reading,),
            start_new_session=True,
        )
    os.close(reading)
    running = SupabaseLite(
        f"http://127.0.0.1:{port}", keys["SUPABASE_SECRET_KEY"], keys["SUPABASE_PUBLISHABLE_KEY"], jwt_secret
    )
    try:
        _wait_for(running, child, directory / "log")
        yield running
    finally:
        os.close(writing)
        child.wait(PATIENCE)


async def programs() -> tuple[Path, Path]:
    """Node and Supabase lite's entry point, installed where they are missing."""
    node = await builds.ensure_node(None, lambda _: None)
    return node.tool.path, await builds.ensure_lite(node, lambda _: None)


def _wait_for(lite: SupabaseLite, child: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and child.poll() is None:
        try:
            answer = httpx.get(f"{lite.url}/rest/v1/instances?limit=1", headers={"apikey": lite.secret_key})
        except httpx.TransportError:
            time.sleep(0.05)
            continue
        answer.raise_for_status()
        return
    told = re.sub(r"sb_\w+", "***", log.read_text())
    raise RuntimeError(f"Supabase lite did not start: {told}")


def _config(port: int, jwt_secret: str) -> str:
    return f"""
[api]
port = {port}

[db]
driver = "pglite"
url = "supabase/.temp/data"

[auth]
enabled = true
jwt_secret = "{jwt_secret}"
jwt_expiry = 3600
enable_signup = true
publishable_key = "env(SUPABASE_PUBLISHABLE_KEY)"
secret_key = "env(SUPABASE_SECRET_KEY)"

[auth.email]
enable_confirmations = false
"""


def _key(kind: str) -> str:
    return f"sb_{kind}_{secrets.token_hex(16)}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
