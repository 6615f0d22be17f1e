"""The project's files as git sees them, and the wheel that a build makes of some of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def project_files() -> list[str]:
    """Paths of all files that are or would be committed, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(path for path in set(listed.stdout.split("\0")) if (ROOT / path).is_file())


def wheel_of(files: Iterable[str], folder: Path) -> set[str]:
    """Paths in the wheel, built offline from a copy of the files so that the checkout stays as it is."""
    source, target = folder / "source", folder / "wheel"
    for path in files:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / path)
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", target, "."],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(target.glob("innkeeper-*.whl"))) as archive:
        return set(archive.namelist())
