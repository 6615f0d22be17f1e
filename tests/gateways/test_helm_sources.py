"""The same chart by directory, by archive, by repository and by OCI reference: the real Helm renders the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chart_server import answers, packaged, serving

from innkeeper.gateways.helm import HelmCommand, find_helm
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import InnkeeperError
from innkeeper.model.ports import Manifest, Release

CHART = Path(__file__).parents[1] / "data" / "charts" / "created"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart, packaged."""
    return packaged(find_helm(), CHART, tmp_path_factory.mktemp("packaged"))


@pytest.fixture(scope="module")
def port(archive: Path) -> Iterator[int]:
    """Where a repository and a registry serve it."""
    with serving(answers(find_helm(), archive, "created", "0.1.0")) as port:
        yield port


async def rendered(chart: ChartRef) -> list[Manifest]:
    release = Release(name="acme", namespace="inn-acme", chart=chart, values={"replicaCount": 2}, mark="m")
    return await HelmCommand(kubeconfig=None).template(release, limit=30)


async def test_a_chart_is_the_same_from_every_source(archive: Path, port: int) -> None:
    wanted = await rendered(ChartRef(path=str(CHART)))
    assert {item["kind"] for item in wanted} >= {"Deployment", "Service"}
    sources = [
        ChartRef(path=str(archive)),
        ChartRef(repository=f"http://127.0.0.1:{port}", name="created", version="0.1.0"),
        ChartRef(oci=f"oci://localhost:{port}/charts/created", version="0.1.0"),
    ]
    for source in sources:
        assert await rendered(source) == wanted


async def test_a_version_that_is_not_there_is_named(port: int) -> None:
    chart = ChartRef(repository=f"http://127.0.0.1:{port}", name="created", version="9.9.9")
    with pytest.raises(InnkeeperError, match=r"9\.9\.9") as told:
        await rendered(chart)
    assert told.value.cause.fix


@pytest.mark.parametrize(("wanted", "shown"), [("policy/v1/PodDisruptionBudget", "yes"), ("nowhere.dev/v1", "no")])
async def test_a_chart_that_asks_what_the_cluster_knows_is_told(
    cluster: KubernetesCluster, tmp_path: Path, wanted: str, shown: str
) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: asking\nversion: 0.1.0\n")
    asks = f'{{{{ ternary "yes" "no" (.Capabilities.APIVersions.Has "{wanted}") | quote }}}}'
    (tmp_path / "templates" / "told.yaml").write_text(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: told\ndata:\n  known: {asks}\n"
    )
    release = Release(name="acme", namespace="inn-acme", chart=ChartRef(path=str(tmp_path)), values={}, mark="m1")
    helm = HelmCommand(kubeconfig=None)
    rendered = await helm.template(release, limit=60, api_versions=await cluster.api_versions())
    assert [each["data"] for each in rendered] == [{"known": shown}]
