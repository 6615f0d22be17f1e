"""Where and of what figures were taken, and how a benchmark leaves them: as JSON, on the screen, and in the docs."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import __version__
from .figures import pasted

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"


def machine() -> dict[str, Any]:
    """What the figures depend on and nobody can see from them."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory GiB": round(pages / 2**30, 1),
        "system": platform.system(),
        "kernel": platform.release(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.machine()


def innkeeper_version() -> str:
    """The version, with the commit where this is a checkout."""
    try:
        asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return f"{__version__} ({told})"


def versions(innkeeper: str, parts: Mapping[str, str]) -> dict[str, str]:
    """What was measured: Innkeeper's version, and those of the platform's parts as they say them themselves."""
    lite = json.loads((ROOT / "embedded" / "node" / "package.json").read_text())["dependencies"]["@supabase/lite"]
    here = {"innkeeper": innkeeper, "python": sys.version.split()[0], "temporalio": version("temporalio")}
    return {**here, **parts, "supabase lite": lite}


class Report:
    """One run's figures; made before it begins, so that it knows the load that was there already."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts: Mapping[str, str] = {}
        """The versions of the platform's parts, once they are known."""
        self._begun = datetime.now(UTC)
        self._before = os.getloadavg()[0]
        self._measured = innkeeper_version()
        """The version that is measured: what is committed meanwhile is not."""

    def leave(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Write the figures so far to benchmarks/results, with all that they depend on."""
        told = {
            "at": self._begun.isoformat(timespec="seconds"),
            "until": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": versions(self._measured, self.parts),
            "load before and after": [self._before, os.getloadavg()[0]],
            **figures,
        }
        RESULTS.mkdir(exist_ok=True)
        _file(self.name).write_text(json.dumps(told, indent=1) + "\n")
        return told


def was_left(name: str) -> bool:
    """Whether a run of that name has left anything."""
    return _file(name).exists()


def _file(name: str) -> Path:
    return RESULTS / f"{name}.json"


def last(name: str, made_by: str) -> dict[str, Any]:
    """What the last run left.

    Raises:
        SystemExit: it left nothing; says what to run.
    """
    try:
        found: dict[str, Any] = json.loads(_file(name).read_text())
    except FileNotFoundError:
        raise SystemExit(f"There is no benchmarks/results/{name}.json. Run: {made_by}") from None
    return found


@contextlib.contextmanager
def of_this_version(what: str, made_by: str) -> Iterator[None]:
    """Figures are read within.

    Raises:
        SystemExit: they lack something, since another version left them; says what to run.
    """
    try:
        yield
    except KeyError as missing:
        lacks = f"The figures of {what} lack {missing}, since another version left them."
        raise SystemExit(f"{lacks} Run: {made_by}") from None


def left(prefix: str) -> list[dict[str, Any]]:
    """What the last runs left whose names begin so."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob(f"{prefix}*.json"))]


def origin(told: Mapping[str, Any]) -> str:
    """One paragraph that says where and of what the tables below it are."""
    where, (before, after) = told["machine"], told["load before and after"]
    parts = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    return (
        f"{told['at'][:16].replace('T', ' ')} UTC, {where['cores']} cores ({where['processor']}), "
        f"{where['memory GiB']} GiB, {where['system']} {where['kernel']}; load {before:.1f} before and {after:.1f} "
        f"after. {parts}."
    )


def publish(name: str, block: Sequence[str]) -> None:
    """Put the tables into docs/performance.md, in place of those of the run before."""
    PAGE.write_text(pasted(PAGE.read_text(), name, block))
    print(f"\n{PAGE.relative_to(ROOT)} has the tables of {name} now.")


def publish_all(blocks: Mapping[str, Sequence[str]]) -> None:
    """Put each of them into its place in docs/performance.md; what has none there is told."""
    for name, block in blocks.items():
        if f"<!-- {name}: begin -->" in PAGE.read_text():
            publish(name, block)
        else:
            print(f"\n{PAGE.relative_to(ROOT)} has no place for {name}, which is left out.")
