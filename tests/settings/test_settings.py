"""Settings: where each may come from, which wins, and what a wrong one says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from innkeeper.model.errors import BadInput
from innkeeper.settings import Settings, load_catalog


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory without a platform."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INNKEEPER_STATE_DIR", raising=False)


def platform_at(folder: Path) -> None:
    folder.mkdir()
    addresses = {
        "temporal_address": "127.0.0.1:1",
        "supabase_url": "http://127.0.0.1:2",
        "supabase_service_key": "platform-key",
        "kubeconfig": "/platform/kubeconfig",
        "context": "innkeeper",
    }
    (folder / "platform.json").write_text(json.dumps(addresses))


def test_defaults_name_no_cluster_and_no_database() -> None:
    settings = Settings.load()
    assert settings.kubeconfig is None
    assert settings.supabase_url is None
    assert settings.temporal_address is None


def test_the_platform_on_this_machine_fills_what_nobody_said() -> None:
    platform_at(Path(".innkeeper"))
    settings = Settings.load()
    assert settings.supabase_url == "http://127.0.0.1:2"
    assert settings.supabase_key is not None
    assert settings.supabase_key.get_secret_value() == "platform-key"
    assert (str(settings.kubeconfig), settings.kube_context) == ("/platform/kubeconfig", "innkeeper")
    assert settings.temporal_address == "127.0.0.1:1"


def test_arguments_win_over_the_environment_over_dotenv_over_toml_over_the_platform(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    platform_at(Path(".innkeeper"))
    Path("innkeeper.toml").write_text('operator_namespace = "from-toml"\ntask_queue = "from-toml"\n')
    assert Settings.load().operator_namespace == "from-toml"
    Path(".env").write_text("INNKEEPER_TASK_QUEUE=from-dotenv\nINNKEEPER_SUPABASE_URL=http://dotenv\n")
    assert Settings.load().task_queue == "from-dotenv"
    assert Settings.load().supabase_url == "http://dotenv"
    monkeypatch.setenv("INNKEEPER_TASK_QUEUE", "from-environment")
    assert Settings.load().task_queue == "from-environment"
    assert Settings.load(task_queue="from-argument").task_queue == "from-argument"
    assert Settings.load(task_queue=None).task_queue == "from-environment"


def test_a_part_of_the_users_own_takes_nothing_of_the_platforms() -> None:
    platform_at(Path(".innkeeper"))
    own = Settings.load(kubeconfig=Path("mine"), supabase_url="http://mine")
    assert own.kube_context is None
    assert own.supabase_key is None


def test_a_part_of_the_users_own_in_the_toml_file_takes_nothing_of_the_platforms_either() -> None:
    platform_at(Path(".innkeeper"))
    Path("innkeeper.toml").write_text('kubeconfig = "mine"\nsupabase_url = "http://mine"\n')
    own = Settings.load()
    assert own.kube_context is None
    assert own.supabase_key is None


def test_temporals_own_configuration_wins_over_the_platforms_address(monkeypatch: pytest.MonkeyPatch) -> None:
    platform_at(Path(".innkeeper"))
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    assert Settings.load().temporal_address is None


def test_a_secret_is_masked_wherever_settings_are_shown() -> None:
    settings = Settings.load(supabase_key="very-secret", supabase_url="http://x")
    assert "very-secret" not in f"{settings!r} {settings.masked()}"
    assert settings.masked()["supabase_url"] == "http://x"


def test_a_wrong_setting_names_itself_its_value_and_the_fix() -> None:
    with pytest.raises(BadInput, match="helm_slots: 0 is wrong") as told:
        Settings.load(helm_slots=0)
    assert told.value.cause.fix == "set INNKEEPER_HELM_SLOTS"


def test_a_missing_catalog_says_where_it_was_looked_for() -> None:
    with pytest.raises(BadInput, match=r"'nowhere\.yaml' cannot be read: No such file"):
        load_catalog(Path("nowhere.yaml"))


def test_a_catalog_that_is_no_yaml_names_the_line() -> None:
    Path("catalog.yaml").write_text("plans:\n  a: [\n")
    with pytest.raises(BadInput, match=r"cannot be read: .*line"):
        Settings.load().load_catalog()


def test_relative_chart_paths_count_from_the_catalogs_folder() -> None:
    folder = Path("deep")
    folder.mkdir()
    (folder / "c.yaml").write_text("plans: {a: {chart: {path: charts/x}}}")
    path = load_catalog(folder / "c.yaml").plans["a"].chart.path
    assert path == str(folder.resolve() / "charts/x")


@pytest.mark.parametrize("setting", ["sweep_every", "meter_every"])
@pytest.mark.parametrize("seconds", [-1, 86_401])
def test_what_a_schedule_starts_is_asked_for_between_never_and_once_a_day(setting: str, seconds: int) -> None:
    with pytest.raises(BadInput, match=f"{setting}: {seconds} is wrong"):
        Settings.load(**{setting: seconds})
