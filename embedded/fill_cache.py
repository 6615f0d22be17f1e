"""Puts a control plane that was built elsewhere into the cache: ``python -m innkeeper.embedded.fill_cache FILE.xz``.

For machines that build often and from nothing, such as a continuous integration's: the build takes minutes, the
unpacking seconds. The file must be built from the very sources in ``controlplane/``; nothing in it says so, which is
why this is a command of its own and not a place where the platform looks by itself.
"""

from __future__ import annotations

import lzma
import shutil
import sys
from pathlib import Path

from . import cache
from .files import made_whole


def fill(packed: Path) -> Path:
    """Unpack an xz-compressed binary to where the platform looks for it; returns that path.

    A binary that is there already stays. A broken file leaves nothing behind.

    Raises:
        OSError: the file cannot be read.
        lzma.LZMAError: it is not in xz format, or damaged.
        EOFError: it ends too early.
    """
    binary = cache.control_plane()
    if not binary.exists():
        with made_whole(binary.parent) as draft:
            with lzma.open(packed) as source, (draft / binary.name).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            (draft / binary.name).chmod(0o755)
    return binary


def main(arguments: list[str]) -> int:
    """The command: 0 and the path, or 1 and what is wrong, or 2 and how it is called."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m innkeeper.embedded.fill_cache FILE.xz\n")
        return 2
    try:
        sys.stdout.write(f"{fill(Path(arguments[0]))}\n")
    except (OSError, lzma.LZMAError, EOFError) as error:
        sys.stderr.write(f"cannot fill the cache from {arguments[0]}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
