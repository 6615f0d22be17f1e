"""How a process that has spoken to Temporal ends.

Threads of Temporal's client may still call into the interpreter while it is taken down, which aborts the process: work
that is done would end with the exit code of a crash.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with this exit code, all output written, without taking the interpreter down."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
