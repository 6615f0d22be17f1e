"""Builds the wheel and holds that an installed Innkeeper has every file that a checkout has."""

import pytest
from wheel import wheel_of

SHIPPED = ("charts/", "embedded/", "supabase/migrations/", "catalog.yaml", "py.typed")


@pytest.fixture(scope="module")
def wheel(project_files: list[str], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Paths in the wheel of the whole checkout."""
    return wheel_of(project_files, tmp_path_factory.mktemp("whole"))


def test_the_wheel_has_every_file_the_platform_and_the_charts_need(wheel: set[str], project_files: list[str]) -> None:
    needed = {f"innkeeper/{path}" for path in project_files if path.startswith(SHIPPED)}
    assert needed - wheel == set()


def test_the_wheel_has_every_module_and_no_test(wheel: set[str], product_files: dict[str, object]) -> None:
    assert {f"innkeeper/{path}" for path in product_files} - wheel == set()
    assert [path for path in wheel if path.startswith("innkeeper/tests/")] == []
