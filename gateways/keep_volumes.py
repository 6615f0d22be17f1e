"""Helm's post-renderer for charts whose volumes would not outlive an uninstall: from standard input to standard output.

Run by Helm as a process of its own (`python -m innkeeper.gateways.keep_volumes`), only where the check step found
such a chart; see `model.manifests`.
"""

from __future__ import annotations

import sys

from innkeeper.model.manifests import keep_data


def main() -> int:
    """Rewrite the rendered chart; 1 and a sentence on standard error where it cannot be read."""
    try:
        sys.stdout.write(keep_data(sys.stdin.read()))
    except ValueError as error:
        sys.stderr.write(f"the rendered chart {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
