"""The platform's Supabase as its users see it: who signs up, and with which token they come."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

import httpx


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
