"""Run by the real Helm as its post-renderer over a large chart, it changes what forgets data, and only that."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from innkeeper.gateways.helm import find_helm
from innkeeper.model.manifests import Manifest, forgets_data, kept, parse

CHARTS = Path(__file__).parents[1] / "data" / "charts"
POST_RENDERER = ["--post-renderer", sys.executable]
POST_RENDERER += [f"--post-renderer-args={each}" for each in ("-I", "-m", "innkeeper.gateways.keep_volumes")]


async def run(*command: str, stdin: bytes = b"") -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate(stdin)
    return child.returncode or 0, out.decode(), err.decode()


def by_name(objects: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    """The objects without their Secrets, which charts like to fill with chance."""
    return {(each["kind"], each["metadata"]["name"]): each for each in objects if each["kind"] != "Secret"}


@pytest.mark.parametrize(("chart", "forgetful"), [("suite", True), ("memory/claims", True), ("created", False)])
async def test_helm_renders_what_keeps_its_data_and_nothing_else_differs(chart: str, forgetful: bool) -> None:
    template = [str(find_helm()), "template", "acme", str(CHARTS / chart), "--no-hooks"]
    _, plain, _ = await run(*template)
    code, rendered, err = await run(*template, *POST_RENDERER)
    assert (code, err) == (0, "")
    before, after = parse(plain), parse(rendered)
    assert any(forgets_data(each) for each in before) is forgetful
    assert not any(forgets_data(each) for each in after)
    assert by_name(after) == by_name([kept(each) for each in before])


async def test_what_cannot_be_read_stops_helm_with_a_sentence() -> None:
    command = [sys.executable, "-I", "-m", "innkeeper.gateways.keep_volumes"]
    code, out, err = await run(*command, stdin=b"---\nkind: PersistentVolumeClaim\nmetadata: [\n")
    assert code == 1
    assert out == ""
    assert err.startswith("the rendered chart is not YAML in line ")
    assert "Traceback" not in err
