"""Builds the Helm that stays from one call to the next: ``python -m innkeeper.embedded.build_helm FILE``.

The platform on this machine builds it by itself. This is for a worker elsewhere, in an image or on a server, which is
given it as ``INNKEEPER_HELM``. It is Helm otherwise, too: its own command and its own sources (`residenthelm/helm.go`).
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from . import builds
from .errors import PlatformError
from .prebuild import tell


def main(arguments: list[str]) -> int:
    """The command: 0 and the path, or 1 and what is wrong, or 2 and how it is called."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m innkeeper.embedded.build_helm FILE\n")
        return 2
    target = Path(arguments[0])
    try:
        built = asyncio.run(builds.ensure_resident_helm(None, tell))
        target.parent.mkdir(parents=True, exist_ok=True)
        # In one step: workers may be running the one of before.
        fresh = target.with_name(f".{target.name}.new")
        shutil.copyfile(built, fresh)
        # The cache is its owner's alone; a worker may be somebody else.
        fresh.chmod(0o755)
        fresh.replace(target)
    except (PlatformError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
