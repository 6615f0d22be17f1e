"""Makes all that a platform needs before one is started: ``python -m innkeeper.embedded.prebuild``.

A platform makes what it lacks when it starts, which is minutes where nothing was built before. Whoever has a limit on
that, as each test has, makes it first, and sees how far it is.
"""

from __future__ import annotations

import asyncio
import sys

from . import builds
from .errors import PlatformError


async def prebuild(progress: builds.Progress) -> None:
    """Have Node, Supabase lite, the control plane and the Helm that stays, in the cache where they are nowhere else.

    Raises:
        ToolMissing: there is no pip to install what is missing.
        BuildFailed: something could not be made.
    """
    await builds.ensure_lite(await builds.ensure_node(None, progress), progress)
    await builds.ensure_control_plane(None, None, progress)
    await builds.ensure_resident_helm(None, progress)


def tell(line: str) -> None:
    """Progress, for people."""
    sys.stderr.write(f"{line}\n")


def main() -> int:
    """The command: 0, or 1 and what is wrong."""
    try:
        asyncio.run(prebuild(tell))
    except PlatformError as error:
        tell(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
