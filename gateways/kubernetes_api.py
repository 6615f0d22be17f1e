"""Speaks HTTP to one API server: plain JSON in and out, one table that turns its refusals into our errors.

Objects stay dictionaries: typed models of every kind cost seconds of import and drop the fields that they do not know.
The client library is used for what it is good at: kubeconfigs, credentials that expire, TLS, and the session.
"""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
import yaml
from kubernetes.aio import client, config

from ..model.errors import AlreadyExists, BadInput, Conflict, Forbidden, InnkeeperError, Permanent, Unreachable
from .environment_proxy import proxy_for
from .retry_after import retry_after

SETTING = "INNKEEPER_KUBECONFIG"
LONGEST_MESSAGE = 1_000
"""Characters of the API server's own words that reach an error."""

CONNECTIONS = 40
"""To the API server at once, streams included; a request waits for one within its own time. The library's hundred stay
open after a rush and are a handshake each, while a request keeps one busy for some milliseconds only."""

_CREDENTIALS_FIX = f"check the credentials in the kubeconfig that {SETTING} names, and what RBAC gives them"
_FILES = {
    "cluster": ("certificate-authority",),
    "user": ("client-certificate", "client-key"),
}


class Answer(NamedTuple):
    """What the API server said to one request."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def date(self) -> datetime:
        """The server's clock when it answered, to the second."""
        return parsedate_to_datetime(self.headers["Date"]).astimezone(UTC)


class Api:
    """One API server: requests with a timeout, and streams that are noticed when they fall silent."""

    def __init__(self, settings: client.Configuration, *, timeout: float, context: str | None = None) -> None:
        self.context = context
        """The kubeconfig's context that was chosen; None in a pod."""
        settings.proxy = settings.proxy or proxy_for(str(settings.host))
        # Else the session asks the environment and ~/.netrc for each request anew, each in a thread of its own.
        settings.client_session_kwargs = {"trust_env": False}
        settings.connection_pool_maxsize = CONNECTIONS
        self._client = client.ApiClient(settings)
        self._settings = settings
        self._timeout = timeout
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def server(self) -> str:
        """The address, for people."""
        return str(self._settings.host)

    @classmethod
    async def from_kubeconfig(cls, path: Path, context: str | None, *, timeout: float) -> Api:
        """The server of a kubeconfig's context.

        Raises:
            BadInput: the file is no kubeconfig, or does not say which of its contexts is meant.
        """
        content, chosen = _read_kubeconfig(path, context)
        settings = client.Configuration()
        with tempfile.TemporaryDirectory(prefix="innkeeper-") as folder:
            # TLS takes certificates from files only; the library would leave the key's in the temp folder.
            _certificates_to_files(content, path.parent, Path(folder))
            try:
                loader = await config.load_kube_config_from_dict(  # type: ignore[no-untyped-call]
                    content, context=chosen, client_configuration=settings
                )
            except (config.ConfigException, KeyError, ValueError, OSError) as wrong:
                raise _not_a_kubeconfig(path, str(wrong)) from wrong
            api = cls(settings, timeout=timeout, context=chosen)
        api._refreshing = asyncio.create_task(
            config.refresh_token(loader, client_configuration=settings),  # type: ignore[no-untyped-call]
            name="kubeconfig credentials",
        )
        return api

    @classmethod
    def in_cluster(cls, *, timeout: float) -> Api:
        """The server of the cluster that this process runs in, as the pod's service account.

        Raises:
            BadInput: this process does not run in a pod with a service account.
        """
        settings = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError) as wrong:
            fix = f"run in a pod whose service account token is mounted, or name a kubeconfig in {SETTING}"
            raise BadInput("in_cluster", True, f"cannot be: {wrong}", fix=fix) from wrong
        return cls(settings, timeout=timeout)

    async def close(self) -> None:
        """Close every connection."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._refreshing
        await self._client.close()  # type: ignore[no-untyped-call]

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Answer:
        """One request; whatever the server answers, a refusal too.

        Raises:
            Unreachable: no answer within the timeout, or one that says "not now" (429, 5xx).
        """
        limits = aiohttp.ClientTimeout(total=self._timeout, sock_connect=min(5.0, self._timeout))
        async with self._opened(method, path, query, body, content_type, accept, limits) as response:
            raw = await response.read()
            return Answer(response.status, _parsed(raw), response.headers)

    async def stream(self, path: str, *, query: Mapping[str, str], silence: float) -> AsyncGenerator[bytes, None]:
        """The lines of one watch until the server ends it.

        Raises:
            Unreachable: it could not be opened, broke, or was silent for longer than `silence` seconds.
            InnkeeperError: the server refused.
        """
        limits = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=silence)
        async with self._opened("GET", path, query, None, "application/json", "application/json", limits) as response:
            if response.status != 200:
                answer = Answer(response.status, _parsed(await response.read()), response.headers)
                raise self.refused(answer, f"watch {path}")
            yield b""
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line

    @asynccontextmanager
    async def _opened(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any,
        content_type: str,
        accept: str,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Content-Type": content_type, "Accept": accept, "User-Agent": "innkeeper"}
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        try:
            await self._client.update_params_for_auth(headers, None, ["BearerToken"], path, method, body)
            async with AsyncExitStack() as stack:
                opened = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
                    method, url, headers=headers, body=body, _request_timeout=limits
                )
                response = await stack.enter_async_context(opened.response)
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError) as broken:
            why = _words(broken) or f"no answer within {limits.sock_read or limits.total:g} s"
            raise Unreachable(
                f"The API server {self.server} does not answer: {why}.",
                object=self.server,
                fix=f"check that it runs, and that the kubeconfig in {SETTING} names the right one",
            ) from broken

    def refused(self, answer: Answer, what: str) -> InnkeeperError:
        """The error for an answer that is not a success; `what` is the act and its object, e.g. ``apply Pod a/b``."""
        status = answer.body if isinstance(answer.body, dict) else {}
        reason = str(status.get("reason", ""))
        details = status.get("details") or {}
        told = _told(answer, what)
        message = f"The API server refuses to {what}: {told}"
        _, _, target = what.partition(" ")
        if answer.status < 300:
            message = f"{self.server} does not answer as an API server does: {told}"
            fix = f"check that the kubeconfig in {SETTING} names an API server, and no proxy in front of it"
            return Unreachable(message, code="NotAnApiServer", object=target, fix=fix)
        if answer.status == 429 or answer.status >= 500:
            message = f"The API server {self.server} cannot {what} now ({answer.status}): {told}"
            return Unreachable(message, object=target, retry_after=retry_after(answer.headers))
        causes = details.get("causes") or ()
        if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
            return Conflict(message, code="NamespaceTerminating", object=target)
        # An apply to another object's UID is called invalid, not a conflict.
        other_object = any(cause.get("field") == "metadata.uid" for cause in causes)
        if other_object or (answer.status == 409 and reason != "AlreadyExists"):
            return Conflict(message, object=target)
        return _permanent(answer.status, message, told, target, missing=str(details.get("kind", "")))


def _words(broken: Exception) -> str:
    """What broke, without a proxy's address, which may hold a password."""
    if isinstance(broken, aiohttp.ClientResponseError):
        return f"its proxy answers {broken.status}"
    if isinstance(broken, aiohttp.InvalidURL):
        return "its address, or its proxy's, is no URL"
    return str(broken)


def _permanent(status: int, message: str, told: str, target: str, *, missing: str) -> Permanent:
    if status == 409:
        return AlreadyExists(message, object=target, fix="read it to see whose it is")
    if status == 401:
        return Forbidden(message, code="Unauthorized", object=target, fix=_CREDENTIALS_FIX)
    if status == 403:
        return _forbidden(message, told, target)
    if status == 404:
        fix = "create the namespace first" if missing == "namespaces" else "create what is named first"
        return Permanent(message, code="NotFound", object=target, fix=fix)
    return Permanent(message, code="Invalid", object=target, fix="correct what the message names")


def _forbidden(message: str, told: str, target: str) -> Forbidden:
    if "exceeded quota" in told:
        fix = "raise the namespace's quota (the plan's), or ask for less"
        return Forbidden(message, code="QuotaExceeded", object=target, fix=fix)
    if "violates PodSecurity" in told:
        fix = "correct the securityContext that is named, or lower the plan's Pod Security level"
        return Forbidden(message, code="PodSecurity", object=target, fix=fix)
    return Forbidden(message, object=target, fix=_CREDENTIALS_FIX)


def _told(answer: Answer, what: str) -> str:
    """The server's words, capped. Of a Secret only the fields: what is invalid is quoted, and would be the secret."""
    status = answer.body if isinstance(answer.body, dict) else {}
    text = str(status.get("message") or answer.body or f"HTTP {answer.status}")
    if " Secret " in f" {what} " and answer.status in (400, 422, 500):
        causes = (status.get("details") or {}).get("causes") or []
        fields = sorted({f"{cause.get('field', '?')} ({cause.get('reason', 'invalid')})" for cause in causes})
        text = ", ".join(fields) or f"{status.get('reason') or 'it is not a valid Secret'} (its words are left out)"
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 3] + "..."


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace").strip()


def _read_kubeconfig(path: Path, context: str | None) -> tuple[dict[str, Any], str]:
    try:
        content = yaml.safe_load(path.read_text())
        contexts = [str(one["name"]) for one in content["contexts"]]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as wrong:
        raise _not_a_kubeconfig(
            path, type(wrong).__name__ if isinstance(wrong, KeyError | TypeError) else str(wrong)
        ) from wrong
    if context is None and len(contexts) == 1:
        return content, contexts[0]
    if context is None or context not in contexts:
        # The file's current-context is not asked: `kubectl config use-context` must not move a worker.
        problem = "does not say which context" if context is None else f"is not a context of {path}"
        fix = f"name one of: {', '.join(contexts) or '(the kubeconfig has none)'}"
        raise BadInput("context", context, problem, fix=fix)
    return content, context


def _certificates_to_files(content: dict[str, Any], base: Path, folder: Path) -> None:
    """Put inline certificates and keys into files of `folder`, and make relative paths absolute, in place."""
    for section, keys in _FILES.items():
        for number, entry in enumerate(content.get(f"{section}s") or ()):
            for key in keys:
                values = entry.get(section) or {}
                inline = values.pop(f"{key}-data", None)
                if inline:
                    file = folder / f"{section}-{number}-{key}"
                    file.touch(mode=0o600)
                    file.write_bytes(base64.b64decode(inline))
                    values[key] = str(file)
                elif key in values:
                    values[key] = str((base / values[key]).resolve())


def _not_a_kubeconfig(path: Path, problem: str) -> BadInput:
    fix = f"name a readable kubeconfig in {SETTING}"
    return BadInput("kubeconfig", str(path), f"cannot be used: {problem}", fix=fix)
