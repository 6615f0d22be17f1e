"""The catalogs that docs/charts.md shows are catalogs, and those of charts in this repository render."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from innkeeper.model import catalog

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "charts.md").read_text(), re.DOTALL | re.MULTILINE)


def plans_shown() -> dict[str, catalog.Plan]:
    read = [catalog.parse(yaml.safe_load(example), folder=str(ROOT), source="docs/charts.md") for example in EXAMPLES]
    return {name: plan for one in read for name, plan in one.plans.items()}


def test_every_catalog_in_the_guide_is_accepted() -> None:
    assert plans_shown().keys() == {"small", "forum", "plain", "sized"}


@pytest.mark.parametrize("name", ["small", "plain", "sized"])
def test_a_plan_in_the_guide_renders_with_its_chart(render: Callable[..., list[dict[str, Any]]], name: str) -> None:
    plan = plans_shown()[name]
    assert plan.chart.path is not None
    keys = ("name", "tenant", "namespace", "release", "plan")
    instance = dict.fromkeys(keys, "acme") | {"url": "https://acme.example.com"}
    values = catalog.fill(plan.values, instance=instance, secrets={secret.name: secret.name for secret in plan.secrets})
    assert {item["kind"] for item in render(Path(plan.chart.path).name, values)} >= {"Deployment", "Service"}


def test_the_guide_names_every_key_of_a_plan() -> None:
    guide = (ROOT / "docs" / "charts.md").read_text()
    assert [key for key in catalog.Plan.model_fields if key not in guide] == []
