"""One platform of real parts for the whole test session, and what tests hold of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest
import wheel
from in_memory import World, fresh_world, time_skipping
from supabase_lite import SupabaseLite
from temporalio.testing import WorkflowEnvironment

from innkeeper.client import Innkeeper
from innkeeper.embedded import builds
from innkeeper.embedded.options import Addresses, Options
from innkeeper.embedded.platform import Platform
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.settings import Settings
from innkeeper.worker import running

CATALOG = Path(__file__).parent / "data" / "catalog.yaml"

# The same examples each time, and no limit on an example's time: how long one takes is the machine's affair.
hypothesis.settings.register_profile(
    "tests",
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
# Others each time, in great number: `make properties` prints the seed that repeats them.
hypothesis.settings.register_profile(
    "properties", hypothesis.settings.get_profile("tests"), derandomize=False, max_examples=1_000
)
hypothesis.settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own."""
    parser.addoption("--record-histories", action="store_true", help="store the histories that are not stored yet")
    parser.addoption(
        "--uncached", action="store_true", help="workers remember no workflow: each task replays all of it"
    )


@pytest.fixture(scope="session", autouse=True)
def nothing_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of whoever runs the tests reaches them, and they find no platform but their own."""
    # Whoever starts the tests in the background may have had interrupts ignored, which children inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(("INNKEEPER_", "TEMPORAL_", "KUBECONFIG"))]:
        del os.environ[name]
    os.environ["TEMPORAL_CONFIG_FILE"] = str(tmp_path_factory.mktemp("temporal") / "none.toml")
    os.environ["INNKEEPER_STATE_DIR"] = str(tmp_path_factory.mktemp("no-platform"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return wheel.ROOT


@pytest.fixture(scope="session")
def project_files() -> list[str]:
    """Paths of all files that are or would be committed, relative to the root."""
    return wheel.project_files()


@pytest.fixture(scope="session")
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    """Temporal's real server, skipping time."""
    async with time_skipping() as environment:
        yield environment


@pytest.fixture
async def idle_world(environment: WorkflowEnvironment, pytestconfig: pytest.Config) -> AsyncIterator[World]:
    """A fresh world in memory, without a worker."""
    async with fresh_world(environment) as world:
        if pytestconfig.getoption("--uncached"):
            world.cached_workflows = 0
        yield world


@pytest.fixture
async def world(idle_world: World) -> AsyncIterator[World]:
    """A fresh world in memory with a worker over it."""
    async with idle_world.worker():
        yield idle_world
        # While the worker is there: what hangs in it would hold it up.
        await idle_world.end()


@pytest.fixture(scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Temporal, Supabase and Kubernetes, without a worker."""
    options = Options(state_dir=tmp_path_factory.mktemp("platform"), temporal_in_memory=True)
    async with Platform(options) as platform:
        yield platform


@pytest.fixture(scope="session")
def addresses(platform: Platform) -> Addresses:
    """Where the platform's parts are."""
    return platform.addresses


@pytest.fixture(scope="session")
def lite(addresses: Addresses) -> SupabaseLite:
    """The platform's Supabase, as somebody who signs up sees it."""
    return SupabaseLite(
        url=addresses.supabase_url,
        secret_key=addresses.supabase_service_key,
        publishable_key=addresses.supabase_anon_key,
        jwt_secret=addresses.supabase_jwt_secret,
    )


@pytest.fixture(scope="session")
async def resident_helm() -> Path:
    """The Helm that stays from one call to the next, as the platform gives its worker; built where it is not yet."""
    return await builds.ensure_resident_helm(None, print)


@pytest.fixture(scope="session")
def settings(addresses: Addresses, resident_helm: Path) -> Settings:
    """A worker's settings for the platform."""
    return Settings.load(
        helm=resident_helm,
        temporal_address=addresses.temporal_address,
        supabase_url=addresses.supabase_url,
        supabase_key=addresses.supabase_service_key,
        kubeconfig=addresses.kubeconfig,
        kube_context=addresses.context,
        catalog=CATALOG,
        # Tests look at what is lost, and at drift, themselves.
        sweep_every=0,
        meter_every=0,
        reconcile_every=0,
    )


@pytest.fixture(scope="session")
def platform_env(addresses: Addresses) -> dict[str, str]:
    """The environment of a child process that uses the platform, with the tests' catalog."""
    quiet = {f"INNKEEPER_{what}_EVERY": "0" for what in ("SWEEP", "METER", "RECONCILE")}
    return {**os.environ, **addresses.environment(), "INNKEEPER_CATALOG": str(CATALOG), **quiet}


@pytest.fixture(scope="session")
async def worker(settings: Settings) -> AsyncIterator[None]:
    """The worker, in the tests' own process."""
    async with running(settings):
        yield
    # The interpreter may crash at its exit where this does not follow a shutdown.
    await asyncio.sleep(0.3)


@pytest.fixture(scope="session")
async def innkeeper(addresses: Addresses, worker: None) -> AsyncIterator[Innkeeper]:
    """A backend's client, of the platform with its worker."""
    innkeeper = await Innkeeper.connect(
        addresses.temporal_address,
        supabase_url=addresses.supabase_url,
        supabase_key=addresses.supabase_service_key,
    )
    async with innkeeper:
        yield innkeeper


@pytest.fixture(scope="session")
async def cluster(addresses: Addresses) -> AsyncIterator[KubernetesCluster]:
    """The cluster as an operator reads it."""
    cluster = await KubernetesCluster.connect(addresses.kubeconfig, addresses.context)
    yield cluster
    await cluster.close()


@pytest.fixture(scope="session")
async def database(addresses: Addresses) -> AsyncIterator[SupabaseDatabase]:
    """The database with a worker's rights."""
    database = await SupabaseDatabase.connect(addresses.supabase_url, addresses.supabase_service_key)
    async with database:
        yield database
