"""What goes wrong, and how it is played: on the way from one worker to one part, for some seconds."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum

from proxy import Fault, Proxy
from storm import BROKEN, TOO_MANY, Storm

from innkeeper.embedded.options import Addresses
from innkeeper.embedded.pki import Pki


class Part(StrEnum):
    """What is out."""

    API_SERVER = "api-server"
    SUPABASE = "supabase"
    TEMPORAL = "temporal"


class Way(StrEnum):
    """How it is out."""

    REFUSED = "refused"
    """Its process is gone: connections are reset, and new ones refused."""
    BLACK_HOLED = "black-holed"
    """Packets are dropped: nothing passes, nobody is refused; afterwards the connections of before go on."""
    HALF_OPEN = "half-open"
    """As black-holed; afterwards new connections pass, and those of before never say anything again."""
    CUT = "answers-cut"
    """Requests pass, and connections are reset before the answer. In turns of a moment each, so that some stand."""
    TOO_MANY = "429"
    """Each request is answered with 429 and a Retry-After of one second."""
    BROKEN = "5xx"
    """Each request is answered with 503 and a Retry-After, 500, 502 or 504, the last two in HTML."""


HTTP_ONLY = frozenset({Way.TOO_MANY, Way.BROKEN})
"""Temporal speaks gRPC: what overloads it says so by a status within HTTP/2, which no small server here speaks."""

TURN = 0.3
"""Seconds for which answers are cut, and then not."""


def ways_of(part: Part) -> list[Way]:
    """How a part can be out."""
    return [way for way in Way if part is not Part.TEMPORAL or way not in HTTP_ONLY]


@asynccontextmanager
async def outage(way: Way, proxy: Proxy, storms: Mapping[Way, Storm]) -> AsyncIterator[None]:
    """Have it for as long as this is entered."""
    if way is Way.REFUSED:
        await proxy.refuse()
        yield
        await proxy.accept()
    elif way in HTTP_ONLY:
        here, proxy.far = proxy.far, storms[way].place
        proxy.reset()
        yield
        proxy.far = here
        proxy.reset()
    elif way is Way.CUT:
        cutting = asyncio.create_task(_cut_by_turns(proxy))
        yield
        cutting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cutting
        proxy.fault = Fault.NONE
    else:
        proxy.vanish()
        proxy.fault = Fault.STALL
        yield
        if way is Way.HALF_OPEN:
            proxy.lose()
        proxy.fault = Fault.NONE
        await proxy.accept()


async def _cut_by_turns(proxy: Proxy) -> None:
    while True:
        proxy.fault = Fault.CUT_ANSWER
        await asyncio.sleep(TURN)
        proxy.fault = Fault.NONE
        await asyncio.sleep(TURN)


Storms = Mapping[Part, Mapping[Way, Storm]]


@asynccontextmanager
async def storms_in_front_of(addresses: Addresses) -> AsyncIterator[Storms]:
    """The servers that say no, the API server's with its own certificate."""
    tls = tls_of(addresses)
    async with AsyncExitStack() as stack:
        yield {
            part: {
                way: await stack.enter_async_context(Storm(answers, tls=context))
                for way, answers in ((Way.TOO_MANY, TOO_MANY), (Way.BROKEN, BROKEN))
            }
            for part, context in ((Part.API_SERVER, tls), (Part.SUPABASE, None), (Part.TEMPORAL, None))
        }


def tls_of(addresses: Addresses) -> ssl.SSLContext:
    """What the API server of a platform of ours shows its clients."""
    assert addresses.kubeconfig is not None
    pki = Pki(addresses.kubeconfig.parent / "pki")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pki.certificate("apiserver"), pki.key("apiserver"))
    return tls
