"""From a Supabase token to the tenant who asks."""

from __future__ import annotations

import httpx

from innkeeper.client import Unreachable
from innkeeper.model.names import check_tenant


class Unauthenticated(Exception):
    """No token, or one that Supabase does not accept."""


class Tenants:
    """Asks Supabase's auth, so that signing out and blocking a user act at once."""

    def __init__(self, http: httpx.AsyncClient, url: str, key: str) -> None:
        self._http = http
        self._url = f"{url.rstrip('/')}/auth/v1/user"
        self._key = key

    async def of(self, authorization: str | None) -> str:
        """The tenant of an `Authorization` header: `app_metadata.tenant`, else the user's own id.

        `app_metadata` is written with the secret key only; `user_metadata`, which users write themselves, is not asked.

        Raises:
            Unauthenticated: no valid token.
            BadInput: the tenant's id cannot be one.
            Unreachable: Supabase does not answer.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send the token of a signed-in user as 'Authorization: Bearer …'")
        headers = {"apikey": self._key, "Authorization": f"Bearer {token}"}
        try:
            answer = await self._http.get(self._url, headers=headers)
        except httpx.TransportError as error:
            raise Unreachable(f"Supabase's auth does not answer: {type(error).__name__}") from error
        if answer.status_code >= 500:
            raise Unreachable(f"Supabase's auth answers {answer.status_code}")
        if answer.status_code != 200:
            raise Unauthenticated("the token is not, or no longer, valid: sign in again")
        user = answer.json()
        return check_tenant((user.get("app_metadata") or {}).get("tenant") or user["id"])
