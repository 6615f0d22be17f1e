"""Builds the worker's wheel from what .dockerignore lets through, and reads it as the image will."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from wheel import wheel_of

NOT_IN_THE_WHEEL = {"LICENSE", "README.md", "pyproject.toml", "requirements/build.txt", "requirements/image.txt"}
"""What the image's build reads and the wheel does not carry in its package."""

IMPORTABLE = ("__init__.py", "worker.py", "settings.py", "health.py", "model/ports.py", "workflows/saga.py")
SHIPPED = ("catalog.yaml", "charts/room/Chart.yaml", "supabase/migrations/", "embedded/node/package-lock.json")


def lets_through(ignore: Path, path: str) -> bool:
    """Docker's rule: the last pattern that fits the path or one of its folders decides."""
    parts = path.split("/")
    places = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    kept = True
    for line in ignore.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        words = re.findall(r"\*\*/|\*\*|\*|[^*]+", line.removeprefix("!"))
        meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
        pattern = re.compile("".join(meaning.get(word, re.escape(word)) for word in words))
        if any(pattern.fullmatch(place) for place in places):
            kept = line.startswith("!")
    return kept


@pytest.fixture(scope="module")
def context(root: Path, project_files: list[str]) -> list[str]:
    """What the build of the worker's image sees."""
    return [path for path in project_files if lets_through(root / ".dockerignore", path)]


@pytest.fixture(scope="module")
def wheel(context: list[str], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Paths in the wheel that the image's build makes."""
    return wheel_of(context, tmp_path_factory.mktemp("image"))


def test_the_build_sees_exactly_what_the_wheel_is_made_of(context: list[str], wheel: set[str]) -> None:
    packed = {name.removeprefix("innkeeper/") for name in wheel if name.startswith("innkeeper/")}
    assert set(context) - packed == NOT_IN_THE_WHEEL
    assert packed <= set(context)


def test_the_wheel_can_run_a_worker_and_a_health_check(wheel: set[str]) -> None:
    assert {f"innkeeper/{path}" for path in IMPORTABLE} <= wheel


def test_the_wheel_carries_catalog_charts_migrations_and_the_platforms_files(wheel: set[str]) -> None:
    assert [path for path in SHIPPED if not any(name.startswith(f"innkeeper/{path}") for name in wheel)] == []


@pytest.mark.parametrize("file", ["Dockerfile", "deploy/supabase-lite.Dockerfile"])
def test_everything_an_image_copies_is_let_through(file: str, root: Path, project_files: list[str]) -> None:
    own = root / f"{file}.dockerignore"
    ignore = own if own.exists() else root / ".dockerignore"
    seen = [path for path in project_files if lets_through(ignore, path)]
    copied = [
        source
        for line in re.findall(r"^COPY (.+)$", (root / file).read_text(), re.MULTILINE)
        if "--from=" not in line
        for source in [word for word in line.split()[:-1] if not word.startswith("--")]
    ]
    assert copied
    missing = [
        source
        for source in copied
        if source != "." and not any(path == source or path.startswith(f"{source}/") for path in seen)
    ]
    assert missing == []


def test_images_run_as_a_user_without_rights_and_check_their_health(root: Path) -> None:
    for file in ("Dockerfile", "deploy/supabase-lite.Dockerfile"):
        stage = (root / file).read_text().rpartition("\nFROM ")[2]
        assert re.search(r"^USER 10001", stage, re.MULTILINE), file
        assert re.search(r"^HEALTHCHECK ", stage, re.MULTILINE), file
