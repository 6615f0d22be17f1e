"""Whose instances a token stands for."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from innkeeper.client import BadInput, Unreachable

EXAMPLES = Path(__file__).parents[2] / "examples"
USER = "7b0c3f6e-2f4b-4d0e-9a55-0c6d3a1f9f10"


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("backend.tenants")


async def tenant(backend: Any, answer: httpx.Response | httpx.TransportError) -> str:
    def auth(request: httpx.Request) -> httpx.Response:
        assert request.url == "https://abc.supabase.co/auth/v1/user"
        assert (request.headers["apikey"], request.headers["authorization"]) == ("key", "Bearer token")
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(auth)) as http:
        found: str = await backend.Tenants(http, "https://abc.supabase.co/", "key").of("Bearer token")
        return found


async def test_a_user_is_its_own_tenant_unless_the_project_says_otherwise(backend: Any) -> None:
    assert await tenant(backend, httpx.Response(200, json={"id": USER})) == USER
    member = {"id": USER, "app_metadata": {"tenant": "acme-inc"}, "user_metadata": {"tenant": "somebody-else"}}
    assert await tenant(backend, httpx.Response(200, json=member)) == "acme-inc"


async def test_what_users_say_of_themselves_makes_nobody_a_tenant(backend: Any) -> None:
    liar = {"id": USER, "app_metadata": {}, "user_metadata": {"tenant": "somebody-else"}}
    assert await tenant(backend, httpx.Response(200, json=liar)) == USER


async def test_a_tenant_that_cannot_be_one_is_bad_input(backend: Any) -> None:
    with pytest.raises(BadInput, match="is not a tenant id"):
        await tenant(backend, httpx.Response(200, json={"id": USER, "app_metadata": {"tenant": "a b"}}))


async def test_a_token_that_supabase_refuses_is_no_tenant(backend: Any) -> None:
    with pytest.raises(backend.Unauthenticated, match="sign in again"):
        await tenant(backend, httpx.Response(403, json={"msg": "invalid JWT"}))


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.ConnectError("refused")])
async def test_a_silent_auth_is_not_called_a_bad_token(backend: Any, answer: Any) -> None:
    with pytest.raises(Unreachable, match="Supabase's auth"):
        await tenant(backend, answer)


def test_settings_that_are_missing_are_named(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INNKEEPER_SUPABASE_URL", raising=False)
    monkeypatch.setenv("INNKEEPER_SUPABASE_KEY", "key")
    with pytest.raises(SystemExit, match="set INNKEEPER_SUPABASE_URL"):
        importlib.import_module("backend.settings").Settings.load()
