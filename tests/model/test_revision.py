"""Helm's stored revisions are read as Helm wrote them, and a broken one is named with its fix."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model.errors import Cause, Permanent
from innkeeper.model.manifests import Manifest
from innkeeper.model.revision import (
    LARGEST_RECORD,
    STORAGE_TYPE,
    Revision,
    State,
    pack,
    revisions_of,
    storage_labels,
)

RECORD = {
    "name": "acme",
    "version": 2,
    "namespace": "inn-acme",
    "info": {"status": "deployed", "description": "Upgrade complete"},
    "chart": {"metadata": {"name": "room", "version": "0.1.0"}},
    "manifest": "---\n# Source: room/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n# empty\n",
    "hooks": [{"name": "h", "manifest": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: h}\n"}],
}


def secret(packed: str | None = None, **labels: str | None) -> Manifest:
    given = {"innkeeper-mark": "m1", "name": "acme", "owner": "helm", "status": "deployed", "version": "2", **labels}
    return {
        "type": STORAGE_TYPE,
        "metadata": {
            "name": "sh.helm.release.v1.acme.v2",
            "namespace": "inn-acme",
            "labels": {key: value for key, value in given.items() if value is not None},
            "creationTimestamp": "2026-03-01T12:00:00Z",
            "managedFields": [{"time": "2026-03-01T12:00:05Z"}, {"manager": "without a time"}],
        },
        "data": {"release": pack(RECORD) if packed is None else packed},
    }


def as_helm_packs(record: bytes) -> str:
    return base64.b64encode(base64.b64encode(gzip.compress(record, mtime=0))).decode()


def test_a_revision_is_read_from_its_labels_and_its_record() -> None:
    found = Revision.of(secret(as_helm_packs(json.dumps(RECORD).encode())))
    assert (found.release, found.namespace, found.version, found.state) == ("acme", "inn-acme", 2, State.DEPLOYED)
    assert (found.mark, found.secret) == ("m1", "sh.helm.release.v1.acme.v2")
    assert (found.chart, found.description) == ("room-0.1.0", "Upgrade complete")
    assert [each["metadata"]["name"] for each in found.manifest] == ["a"]
    assert [each["kind"] for each in found.hooks] == ["Job"]
    assert str(found) == "revision 2 (deployed)"


def test_its_age_is_told_by_the_api_servers_clock_and_its_last_write() -> None:
    assert Revision.of(secret(modifiedAt="1")).changed == datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


def test_a_record_that_nobody_is_named_for_is_as_old_as_its_creation() -> None:
    found = secret()
    del found["metadata"]["managedFields"]
    assert Revision.of(found).changed == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    del found["metadata"]["creationTimestamp"]
    assert Revision.of(found).changed == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_revision_that_no_operation_made_has_no_mark() -> None:
    assert Revision.of(secret(**{"innkeeper-mark": None})).mark == ""


def test_helms_oldest_records_are_not_compressed() -> None:
    plain = base64.b64encode(base64.b64encode(json.dumps(RECORD).encode())).decode()
    assert Revision.of(secret(plain)).chart == "room-0.1.0"


def test_revisions_are_sorted_as_numbers_and_other_secrets_passed_over() -> None:
    other = {**secret(version="3"), "type": "Opaque"}
    found = revisions_of([secret(version="10"), secret(version="9"), other])
    assert [each.version for each in found] == [9, 10]


def test_the_labels_that_select_a_release_are_helms() -> None:
    assert storage_labels("acme") == {"owner": "helm", "name": "acme"}


@pytest.mark.parametrize("broken", [{"version": None}, {"version": "two"}, {"status": "odd"}, {"name": None}])
def test_labels_that_are_not_helms_are_named(broken: dict[str, str | None]) -> None:
    with pytest.raises(Permanent) as refused:
        Revision.of(secret(**broken))
    assert refused.value.cause.code == "BrokenRelease"
    assert refused.value.cause.object == "Secret inn-acme/sh.helm.release.v1.acme.v2"
    assert refused.value.cause.fix


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        ("", "cannot be read"),
        ("not base64!", "cannot be read"),
        (as_helm_packs(b"{"), "cannot be read"),
        (as_helm_packs(b"[]"), r"cannot be read: it is not an object\."),
        (as_helm_packs(b"\xff"), "cannot be read"),
        (
            base64.b64encode(base64.b64encode(gzip.compress(b"{}" * 50, mtime=0)[:-12])).decode(),
            r"cannot be read: it is cut off\.",
        ),
        (base64.b64encode(base64.b64encode(b"\x1f\x8bnonsense")).decode(), "cannot be read"),
        (pack({"manifest": "kind: [unclosed"}), "its manifest is not YAML"),
        (pack({"manifest": "just text"}), "no Kubernetes object"),
    ],
)
def test_a_broken_record_is_named_only_when_it_is_needed(packed: str, why: str) -> None:
    found = Revision.of(secret(packed))
    assert found.state is State.DEPLOYED
    with pytest.raises(Permanent, match=why) as refused:
        _ = found.manifest
    assert refused.value.cause.object == "Secret inn-acme/sh.helm.release.v1.acme.v2"


def test_a_record_is_not_read_around_what_is_no_base64_in_it() -> None:
    outer = pack(RECORD)
    inner = base64.b64decode(outer)
    torn = base64.b64encode(inner[:9] + b"!" + inner[9:]).decode()
    for packed in (outer[:9] + "!" + outer[9:], torn):
        with pytest.raises(Permanent, match="Helm's record of revision 2 cannot be read: "):
            _ = Revision.of(secret(packed)).record


def test_a_secret_without_data_is_a_broken_record() -> None:
    empty = secret()
    del empty["data"]
    with pytest.raises(Permanent) as refused:
        _ = Revision.of(empty).manifest
    assert refused.value.cause == Cause(
        code="BrokenRelease",
        message="Helm's record of revision 2 cannot be read: Expecting value: line 1 column 1 (char 0).",
        object="Secret inn-acme/sh.helm.release.v1.acme.v2",
        fix="look at it with `helm history`; if the release is beyond repair, delete this Secret and repair the "
        "instance",
    )


def test_a_record_that_unpacks_without_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(Permanent, match="more than 64 MiB"):
        _ = Revision.of(secret(as_helm_packs(b" " * (LARGEST_RECORD + 1)))).manifest


@pytest.mark.parametrize(
    "record", [{}, {"manifest": None, "hooks": None}, {"info": 3, "chart": [], "hooks": ["x", {"manifest": 1}]}]
)
def test_what_a_record_lacks_is_empty(record: dict[str, Any]) -> None:
    found = Revision.of(secret(pack(record)))
    assert (found.manifest, found.hooks, found.description) == ((), (), "")


@given(st.dictionaries(st.text(), st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=5)))
def test_what_is_packed_is_read_back(record: dict[str, Any]) -> None:
    assert Revision.of(secret(pack(record))).record == record


@pytest.mark.parametrize("state", list(State))
def test_a_revision_in_flight_never_ran_to_its_end(state: State) -> None:
    assert not (state.in_flight and state.ran)
