"""What stands around a release and is not as the plan has it: quota, limits, policies and Secrets."""

from __future__ import annotations

import pytest
from drift_facts import Case, changed, home, row, secret

from innkeeper.model import marks
from innkeeper.model.drift_kinds import What
from innkeeper.model.instance import Status
from innkeeper.model.ports import Manifest

STOPPED = row(status=Status.STOPPED, revision=None)
RUNNING = row()


def running(*objects: Manifest, **other: object) -> Case:
    return Case([RUNNING], list(objects) or home(RUNNING), **other)  # type: ignore[arg-type]


def test_the_quota_of_no_pods_stands_while_stopped_and_only_then() -> None:
    missing = Case([STOPPED], changed(home(STOPPED), "ResourceQuota", marks.STOP_QUOTA)).one()
    assert (missing.what, missing.wanted, missing.found) == (What.QUOTA_MISSING, "pods: 0", "(absent)")
    quota = next(each for each in home(STOPPED) if each["metadata"]["name"] == marks.STOP_QUOTA)
    left = running(*home(RUNNING), quota).one()
    assert (left.what, left.wanted, left.found) == (What.QUOTA_CHANGED, "(absent)", "pods: 0")


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [
        ("ResourceQuota", "innkeeper", What.QUOTA_MISSING),
        ("LimitRange", "innkeeper", What.LIMITS_MISSING),
        ("NetworkPolicy", "innkeeper-isolated", What.POLICY_MISSING),
    ],
)
def test_what_the_plan_has_around_the_release_is_missed(kind: str, name: str, what: What) -> None:
    found = Case([RUNNING], changed(home(RUNNING), kind, name)).one()
    assert (found.what, found.object, found.found) == (what, f"{kind} inn-acme/{name}", "(absent)")
    assert found.mend == "innkeeper repair acme"
    assert kind != "ResourceQuota" or found.wanted == "hard.pods: 10\nhard.requests.cpu: 2"
    stopped = Case([STOPPED], changed(home(STOPPED), kind, name)).one()
    assert stopped.mend == "innkeeper upgrade acme"


def test_a_changed_quota_is_told_key_by_key_and_equal_quantities_are_equal() -> None:
    def quota(**hard: str) -> Case:
        spec = {"hard": {name.replace("_", "."): value for name, value in hard.items()}}
        return Case([RUNNING], changed(home(RUNNING), "ResourceQuota", "innkeeper", spec=spec))

    assert quota(pods="10", requests_cpu="2000m").kinds() == []
    found = quota(pods="12", services="3", requests_cpu="2").one()
    assert (found.what, found.wanted, found.found) == (
        What.QUOTA_CHANGED,
        "hard.pods: 10\nhard.services: (absent)",
        "hard.pods: 12\nhard.services: 3",
    )
    assert Case([RUNNING], changed(home(RUNNING), "ResourceQuota", "innkeeper", spec=None)).one().found == (
        "hard.pods: (absent)\nhard.requests.cpu: (absent)"
    )


def test_changed_limits_are_found_and_what_the_api_server_fills_in_is_not() -> None:
    def limits(*each: Manifest) -> Case:
        return Case([RUNNING], changed(home(RUNNING), "LimitRange", "innkeeper", spec={"limits": list(each)}))

    full = {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "500m"}}
    assert limits(full).kinds() == []
    found = limits({**full, "default": {"cpu": "1"}}).one()
    assert (found.what, found.wanted) == (What.LIMITS_CHANGED, "limits.0.default.cpu: 500m")
    assert limits(full, full).kinds() == ["limits-changed"]


def test_a_changed_policy_and_a_changed_pod_security_level_are_found() -> None:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    policy = Case([RUNNING], changed(home(RUNNING), "NetworkPolicy", "innkeeper-isolated", spec=spec)).one()
    assert (policy.what, policy.object) == (What.POLICY_CHANGED, "NetworkPolicy inn-acme/innkeeper-isolated")
    meta = home(RUNNING)[0]["metadata"]
    labels = {**meta["labels"], "pod-security.kubernetes.io/enforce": "privileged", "team": "a"}
    del labels["pod-security.kubernetes.io/warn"]
    level = Case([RUNNING], changed(home(RUNNING), "Namespace", "inn-acme", metadata={**meta, "labels": labels})).one()
    assert (level.what, level.object) == (What.POLICY_CHANGED, "Namespace inn-acme")
    assert level.wanted.splitlines() == [
        "pod-security.kubernetes.io/enforce: baseline",
        "pod-security.kubernetes.io/warn: baseline",
    ]
    assert level.found.splitlines()[1] == "pod-security.kubernetes.io/warn: (absent)"


def test_missing_secrets_and_keys_are_found_by_their_names() -> None:
    gone = Case([RUNNING], changed(home(RUNNING), "Secret", "credentials")).one()
    assert (gone.what, gone.wanted, gone.found) == (What.SECRET_MISSING, "keys: password", "(absent)")
    assert "`innkeeper repair acme` makes a new one" in gone.mend
    for keys, found in (((), "keys: none"), (("other",), "keys: other")):
        objects = [*changed(home(RUNNING), "Secret", "credentials"), secret("credentials", *keys)]
        assert Case([RUNNING], objects).one().found == found
    copied = Case([RUNNING], changed(home(RUNNING), "Secret", "licence")).one()
    assert (copied.wanted, copied.mend) == ("a copy of ours", "innkeeper repair acme")


def test_a_generated_secret_that_somebody_else_wrote_is_found_and_a_copy_is_not() -> None:
    objects = changed(home(RUNNING), "Secret", "credentials")
    written = [*objects, secret("credentials", "password", by="kubectl")]
    found = Case([RUNNING], written).one()
    assert (found.what, found.wanted, found.found) == (
        What.SECRET_CHANGED,
        "password: written by innkeeper",
        "password: written by kubectl",
    )
    assert "c2VjcmV0" not in found.model_dump_json()
    unmanaged = secret("credentials", "password")
    del unmanaged["metadata"]["managedFields"]
    assert Case([RUNNING], [*objects, unmanaged]).kinds() == []
    copy = [*changed(home(RUNNING), "Secret", "licence"), secret("licence", "token", by="kubectl")]
    assert Case([RUNNING], copy).kinds() == []


ADOPTED: Manifest = {"f:metadata": {"f:annotations": {f"f:{marks.ADOPTED_BY}": {}}}}


@pytest.mark.parametrize(
    ("written", "kinds"),
    [
        ("2026-03-01T12:00:00Z", []),
        ("2026-03-01T12:00:05Z", []),
        ("2026-03-01T12:00:06Z", [What.SECRET_CHANGED]),
    ],
)
def test_a_secret_is_taken_as_it_was_when_it_was_adopted(written: str, kinds: list[What]) -> None:
    theirs = secret("credentials", "password", by="kubectl")
    other, nobody = theirs["metadata"]["managedFields"]
    ours = {"manager": marks.MANAGER, "time": "2026-03-01T12:00:05Z", "fieldsV1": ADOPTED}
    theirs["metadata"]["managedFields"] = [{**other, "time": written}, nobody, ours]
    assert Case([RUNNING], [*changed(home(RUNNING), "Secret", "credentials"), theirs]).kinds() == kinds
