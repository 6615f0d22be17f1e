"""Builds the wheel and holds that an installed Innkeeper has every file that a checkout has."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SHIPPED = ("charts/", "embedded/", "supabase/migrations/", "catalog.yaml", "py.typed")


@pytest.fixture(scope="module")
def wheel(root: Path, project_files: list[str], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Paths in the wheel, built from a copy so that the checkout stays as it is."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in project_files:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, source / path)
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


def test_the_wheel_has_every_file_the_platform_and_the_charts_need(wheel: set[str], project_files: list[str]) -> None:
    needed = {f"innkeeper/{path}" for path in project_files if path.startswith(SHIPPED)}
    assert needed - wheel == set()


def test_the_wheel_has_every_module_and_no_test(wheel: set[str], product_files: dict[str, object]) -> None:
    assert {f"innkeeper/{path}" for path in product_files} - wheel == set()
    assert [path for path in wheel if path.startswith("innkeeper/tests/")] == []
