"""A `helm` that does as it is told, and what can be seen of its processes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from innkeeper.gateways.helm import HelmCommand
from innkeeper.model.catalog import ChartRef
from innkeeper.model.ports import Release

PATIENCE = 60.0
SECRET = "s3cr3t-\U0001f600-value"
WISH = Release(
    name="acme",
    namespace="inn-acme",
    chart=ChartRef(path="/charts/room"),
    values={"shown": {"a": 1, "b": 2}},
    secret_values={"shown": {"b": SECRET}},
    mark="m1",
)


def fake_helm(folder: Path, act: str = "pass", version: str = "v3.17.3", name: str = "helm") -> Path:
    """A `helm` that says a version, notes its process id, and then does as it is told."""
    script = folder / name
    script.write_text(
        f"#!{sys.executable} -IS\n"
        "import os, signal, subprocess, sys, time\n"
        f"folder = {str(folder)!r}\n"
        "def note(name, text):\n"
        "    unfinished = f'{folder}/.{os.getpid()}-{name}'\n"
        "    with open(unfinished, 'w') as file:\n"
        "        file.write(str(text))\n"
        "    os.rename(unfinished, f'{folder}/{name}')\n"
        f"if sys.argv[1] == 'version':\n    print({version!r}, end='')\n    sys.exit()\n"
        f"note('pid', os.getpid())\n{act}\n"
    )
    script.chmod(0o755)
    return script


def lives(pid: int) -> bool:
    """Whether the process is there, if only as a zombie that nobody reaped."""
    return Path(f"/proc/{pid}").exists()


def files_with(text: str, folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if text in file.read_text()]


async def noted(folder: Path, name: str = "pid") -> str:
    """What the fake wrote down, once it has."""
    async with asyncio.timeout(PATIENCE):
        while not (folder / name).exists():
            await asyncio.sleep(0.02)
    return (folder / name).read_text()


async def ended(pid: int) -> None:
    """Wait until a process is gone."""
    async with asyncio.timeout(PATIENCE):
        while lives(pid):
            await asyncio.sleep(0.02)


def command(binary: Path | None, **more: Any) -> HelmCommand:
    return HelmCommand(binary=binary, kubeconfig=Path("/kube/config"), context="here", **more)
