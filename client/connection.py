"""The connection to Temporal, and what goes wrong on it in the words of the one tree of errors.

Callers of the client never meet a gRPC status: they meet `Unreachable` where trying again may help, and
`BadInput` or `Forbidden`, each with what to set, where it does not.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import DefaultPayloadConverter
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.service import KeepAliveConfig, RPCError, RPCStatusCode

from ..model.errors import BadInput, Forbidden, InnkeeperError, Unreachable
from ..model.messages import SEARCH_ATTRIBUTES

DEFAULT_ADDRESS = "localhost:7233"

ANSWER_WITHIN = timedelta(seconds=10)
"""How long one short call may take before Temporal counts as unreachable."""

KEEP_ALIVE = KeepAliveConfig(interval_millis=10_000, timeout_millis=4_000)
"""A connection that went silent is given up after 14 s. Servers refuse to be pinged more often than every 10 s."""

TRANSIENT = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.ABORTED,
        RPCStatusCode.INTERNAL,
        RPCStatusCode.UNKNOWN,
    }
)

_DENIED = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED})


async def connect(
    address: str | None = None,
    namespace: str | None = None,
    *,
    config: str | Path | None = None,
    profile: str | None = None,
) -> Client:
    """A client by Temporal's standard configuration: the arguments, else TEMPORAL_*, else its TOML file.

    Raises:
        BadInput: the configuration cannot be read, or the namespace does not exist.
        Forbidden: Temporal refuses the key or certificate.
        Unreachable: nothing answers at the address within 10 seconds.
    """
    settings = configuration(config, profile)
    settings["target_host"] = address or settings.get("target_host") or DEFAULT_ADDRESS
    if namespace is not None:
        settings["namespace"] = namespace
    target = settings["target_host"]
    try:
        async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
            return await Client.connect(
                **settings, data_converter=pydantic_data_converter, keep_alive_config=KEEP_ALIVE
            )
    except TimeoutError:
        raise _silent(target, f"no answer within {ANSWER_WITHIN.total_seconds():g} seconds") from None
    except RuntimeError as error:
        raise _silent(target, _plain(str(error))) from error


def _plain(text: str) -> str:
    """The system's own words out of the transport's, e.g. ``Connection refused``."""
    words = re.findall(r'message: "([^"\\]+)', text.replace('\\"', '"'))
    return words[-1] if words else text


def configuration(config: str | Path | None = None, profile: str | None = None) -> ClientConnectConfig:
    """Temporal's standard client configuration as it stands.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        return ClientConfig.load_client_connect_config(
            profile=profile, config_file=None if config is None else str(config)
        )
    except (RuntimeError, OSError) as error:
        raise BadInput(
            "config",
            "TEMPORAL_* and the TOML file" if config is None else str(config),
            f"is no usable client configuration of Temporal ({error})",
            fix="mend the file or variable, or name another by TEMPORAL_CONFIG_FILE and TEMPORAL_PROFILE",
        ) from error


def speaking_pydantic(client: Client) -> Client:
    """The same connection with payloads that pydantic models survive; a converter or codec of your own stays."""
    converter = client.data_converter
    if converter.payload_converter_class is not DefaultPayloadConverter:
        return client
    config = client.config()
    config["data_converter"] = dataclasses.replace(converter, payload_converter_class=PydanticPayloadConverter)
    return Client(**config)


@contextmanager
def temporal_errors(client: Client) -> Iterator[None]:
    """Raise what Temporal answers as an error of `model.errors`."""
    try:
        yield
    except RPCError as error:
        raise translated(error, client) from error


def is_unknown(error: RPCError) -> bool:
    """Temporal knows no such run, workflow or update (any more); a missing namespace is another matter."""
    return error.status is RPCStatusCode.NOT_FOUND and "namespace" not in error.message.lower()


def translated(error: RPCError, client: Client) -> InnkeeperError:
    """Temporal's refusal as an error a person can act on."""
    address = client.service_client.config.target_host
    text = error.message
    if error.status in _DENIED:
        return Forbidden(
            f"Temporal at {address} refuses this client: {text}",
            code="TemporalForbidden",
            object=f"namespace {client.namespace}",
            fix="set TEMPORAL_API_KEY or the TLS certificate of a user with rights on the namespace",
        )
    if error.status is RPCStatusCode.NOT_FOUND and "namespace" in text.lower():
        return BadInput(
            "namespace",
            client.namespace,
            f"does not exist at Temporal's {address}",
            fix="set TEMPORAL_NAMESPACE to one that exists, or create it",
        )
    if error.status is RPCStatusCode.INVALID_ARGUMENT and "search attribute" in text.lower():
        wanted = " ".join(f"--name {name} --type {kind}" for name, kind in SEARCH_ATTRIBUTES.items())
        return BadInput(
            "namespace",
            client.namespace,
            f"lacks search attributes ({text})",
            fix=f"register them: temporal operator search-attribute create {wanted}",
        )
    return _silent(address, text or error.status.name)


def silent(client: Client, why: str) -> Unreachable:
    """That Temporal does not answer, and how that shows."""
    return _silent(client.service_client.config.target_host, why)


def _silent(address: str, why: str) -> Unreachable:
    return Unreachable(
        f"Temporal at {address} does not answer: {why}",
        code="TemporalUnreachable",
        object=address,
        fix="check that it runs, and set TEMPORAL_ADDRESS to its host:port",
    )
