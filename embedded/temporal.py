"""Temporal's development server with its web interface, state on disk or in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from .files import private_directory
from .parts import Part
from .ports import LOOPBACK, Ports
from .processes import Child
from .waiting import NotYet, until

NAMESPACE = "default"
STARTS_WITHIN = 60.0
"""Seconds; 1 on an idle machine with two cores."""

FLAGS = (
    # Removes 50 ms a step that only the development server adds.
    "history.transferProcessorMaxPollRPS=2000",
    # New search attributes are usable at once, not after the next minute's reload.
    "system.forceSearchAttributesCacheRefreshOnRead=true",
    # Tasks go to workers in turns between tenants. Turns are kept within a queue's partition, of which there are four.
    "matching.enableFairness=true",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
)


class Temporal(Part):
    """One server process."""

    name = "temporal"

    def __init__(
        self,
        directory: Path,
        logs: Path,
        ports: Ports,
        program: Path,
        *,
        in_memory: bool,
        search_attributes: Mapping[str, str],
    ) -> None:
        super().__init__(logs)
        self._directory = directory
        self._ports = ports
        self._program = program
        self._in_memory = in_memory
        self._search_attributes = search_attributes
        self.address = ""
        """Host and port of the server, once it has started."""
        self.ui = ""
        """Where people look at workflows, once it has started."""

    async def _start(self) -> None:
        port, ui_port = self._ports.take("temporal"), self._ports.take("temporal-ui")
        address = f"{LOOPBACK}:{port}"
        argv = [str(self._program), "server", "start-dev", f"--ip={LOOPBACK}", f"--port={port}", f"--ui-port={ui_port}"]
        argv += ["--log-level=warn", "--color=never"]
        if not self._in_memory:
            argv.append(f"--db-filename={private_directory(self._directory) / 'temporal.db'}")
        for flag in FLAGS:
            argv += ["--dynamic-config-value", flag]
        for name, kind in self._search_attributes.items():
            argv += ["--search-attribute", f"{name}={kind}"]
        server = self._own(await Child.start("temporal", argv, log=self.log("temporal")))
        await server.while_alive(answers(address, NAMESPACE, timeout=STARTS_WITHIN))
        self.address, self.ui = address, f"http://{LOOPBACK}:{ui_port}"


async def answers(address: str, namespace: str, *, timeout: float) -> None:
    """Wait until a Temporal server knows its namespace.

    Raises:
        NotReady: it does not within `timeout` seconds.
    """

    async def ask() -> None:
        try:
            client = await Client.connect(address, namespace=namespace)
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
        except (RPCError, RuntimeError) as error:
            raise NotYet(str(error)) from None

    await until(f"Temporal at {address}", ask, timeout=timeout)
