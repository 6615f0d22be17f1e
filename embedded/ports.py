"""Free ports on the loopback address, remembered, so that a platform comes back at the addresses it had."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Below what kernels hand to outgoing connections, so that a port is not lent out while its owner is down.
LOWEST, HIGHEST = 20_000, 32_000


class Ports:
    """The ports of one platform, by the name of what listens there; kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}

    def take(self, name: str) -> int:
        """The port that `name` had, if it is free, else a new one. Nothing listens there yet."""
        port = self._known.get(name)
        if port is None or not is_free(port):
            port = self._new()
            self._known[name] = port
            self._file.write_text(json.dumps(self._known, indent=2) + "\n")
        return port

    def _new(self) -> int:
        taken = set(self._known.values())
        for _ in range(1000):
            port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - a guess, not a secret
            if port not in taken and is_free(port):
                return port
        raise OSError(f"no free port between {LOWEST} and {HIGHEST} on {LOOPBACK}")


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
