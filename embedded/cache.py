"""Where built and downloaded parts are kept between platforms, and under which names.

A name carries what the part was made of, so a changed source never meets a stale build, and versions of this
package share a machine without a quarrel.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

HERE = Path(__file__).parent
CONTROL_PLANE_SOURCES = tuple(HERE / "controlplane" / name for name in ("main.go", "go.mod", "go.sum"))
RESIDENT_HELM_SOURCES = tuple(HERE / "residenthelm" / name for name in ("helm.go", "go.mod", "go.sum"))
NODE_SOURCES = tuple(HERE / "node" / name for name in ("package.json", "package-lock.json", ".npmrc"))
NODE_REQUIREMENTS = HERE / "node-requirements.txt"
GO_REQUIREMENTS = HERE / "go-requirements.txt"
DATABASE = "database"


def root() -> Path:
    """``$XDG_CACHE_HOME/innkeeper``, by default ``~/.cache/innkeeper``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "innkeeper"


def control_plane() -> Path:
    """Where the control plane's binary for this machine belongs."""
    return root() / f"controlplane-{_machine()}-{_key(*CONTROL_PLANE_SOURCES)}" / "controlplane"


def resident_helm() -> Path:
    """Where the Helm that stays from one call to the next belongs, for this machine."""
    return root() / f"helm-{_machine()}-{_key(*RESIDENT_HELM_SOURCES)}" / "helm"


def node_modules() -> Path:
    """The directory that holds Supabase lite's ``node_modules``."""
    return root() / f"node-{_key(*NODE_SOURCES)}"


def database(migrations: Path) -> Path:
    """A database of Supabase lite's with nothing in it but these migrations."""
    return root() / f"{DATABASE}-{_key(*NODE_SOURCES, *sorted(migrations.glob('*.sql')))}"


def python_packages(requirements: Path) -> Path:
    """The directory that holds the packages of one of the requirement files beside this module."""
    return root() / f"{requirements.stem}-{_machine()}-{_key(requirements)}"


def _machine() -> str:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{sys.platform}-{architecture}"


def _key(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
