"""The few requests that starting a cluster takes: are you there, make this, is that gone.

Plain HTTP with the administrator's certificate. The Kubernetes client proper belongs to operations; a platform that
only asks ten questions in its life is not worth its two seconds of import.
"""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Any, Self

import aiohttp

from .pki import Pki
from .waiting import NotYet

Object = dict[str, Any]


class ApiServer:
    """A connection to the API server as its administrator."""

    def __init__(self, url: str, pki: Pki) -> None:
        context = ssl.create_default_context(cafile=str(pki.ca))
        context.load_cert_chain(pki.certificate("admin"), pki.key("admin"))
        self._url = url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context), timeout=aiohttp.ClientTimeout(total=10)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ready(self) -> None:
        """Return if it says it is ready.

        Raises:
            NotYet: it says it is not.
        """
        async with self._session.get(f"{self._url}/readyz") as answer:
            if answer.status != 200:
                raise NotYet(f"/readyz answers {answer.status}")

    async def get(self, path: str) -> Object | None:
        """The object or list at `path`, or None if there is none.

        Raises:
            NotYet: the server cannot say now.
        """
        async with self._session.get(self._url + path) as answer:
            if answer.status == 404:
                return None
            return await _json(answer)

    async def create(self, path: str, manifest: Object) -> None:
        """Make an object; one of that name that is there already stays.

        Raises:
            NotYet: the server refused.
        """
        async with self._session.post(self._url + path, json=manifest) as answer:
            if answer.status != 409:
                await _json(answer)

    async def delete(self, path: str) -> None:
        """Delete what is at `path`, if it is there.

        Raises:
            NotYet: the server refused.
        """
        async with self._session.delete(self._url + path) as answer:
            if answer.status != 404:
                await _json(answer)


async def _json(answer: aiohttp.ClientResponse) -> Object:
    if answer.status >= 400:
        raise NotYet(f"{answer.method} {answer.url.path} answers {answer.status}: {(await answer.text())[:300]}")
    body: Object = await answer.json()
    return body
