"""Rendered objects are read as Kubernetes reads them, and told to keep their data where the chart forgot."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model.manifests import Manifest, forgets_data, is_kept, keep_data, kept, parse, read_yaml, write_yaml


def value(text: str) -> object:
    found = parse(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{key: {text}}}\n")
    return found[0]["data"]["key"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("12:30:45", "12:30:45"),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("10", 10),
        ("-10", -10),
        ("0x10", 16),
        ("0644", 420),
        ("1_000", 1000),
        ("yes", True),
        ("off", False),
        ("~", None),
        ("=", "="),
        ("v1.2.3", "v1.2.3"),
        ("1.2.3", "1.2.3"),
        ("08", 8.0),
        ("'10'", "10"),
    ],
)
def test_values_are_read_as_kubernetes_reads_them(text: str, read: object) -> None:
    found = value(text)
    assert (found, type(found)) == (read, type(read))


def test_documents_without_content_are_left_out_and_lists_unfolded() -> None:
    text = """
---
# Source: a
---
{}
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Secret, metadata: {name: a}}
  - {apiVersion: v1, kind: Secret, metadata: {name: b}}
---
apiVersion: batch/v1
kind: Job
metadata: {generateName: c-}
"""
    assert [each["kind"] for each in parse(text)] == ["Secret", "Secret", "Job"]
    assert parse("") == []


@pytest.mark.parametrize("manifest", [{"kind": "Shop", "items": []}, {"kind": "ShopList", "items": "none"}])
def test_what_only_looks_like_a_list_is_an_object(manifest: Manifest) -> None:
    document = {"apiVersion": "v1", "metadata": {"name": "a"}, **manifest}
    assert parse(json.dumps(document)) == [document]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: @x", "^is not YAML in line 2: found character .*that cannot start any token$"),
        ("a: \x07", "^is not YAML: ReaderError$"),
        ("just text", "^holds a document that is no Kubernetes object: it has no kind$"),
        ("[1]", "it has no kind"),
        ("kind: 3", "it has no kind"),
        ("kind: Pod", "holds a Pod without apiVersion or metadata.name"),
        ("{kind: Pod, metadata: {name: a}}", "holds a Pod without"),
        ("{kind: Pod, apiVersion: v1, metadata: {name: 3}}", "holds a Pod without"),
        ("{kind: Pod, apiVersion: v1, metadata: []}", "holds a Pod without"),
    ],
)
def test_what_is_no_object_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text)


def test_one_document_is_read_where_one_is_meant() -> None:
    assert read_yaml("plans: {a: 2026-01-02}") == {"plans": {"a": "2026-01-02"}}
    assert read_yaml("# nothing") is None
    with pytest.raises(ValueError, match="holds 2 documents"):
        read_yaml("a: 1\n---\nb: 2\n")


def claim(annotations: dict[str, str] | None = None) -> Manifest:
    meta: dict[str, Any] = {"name": "files"} if annotations is None else {"name": "files", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": {"count": "1e3"}}


def stateful(**policy: str) -> Manifest:
    spec = {"persistentVolumeClaimRetentionPolicy": policy} if policy else {}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec}


@pytest.mark.parametrize("annotations", [None, {}, {"a": "b"}, {"helm.sh/resource-policy": "delete"}])
def test_a_claim_that_a_chart_owns_is_told_to_stay(annotations: dict[str, str] | None) -> None:
    before = claim(annotations)
    after = kept(before)
    assert before == claim(annotations)
    assert forgets_data(before)
    assert after["metadata"]["annotations"] == {**(annotations or {}), "helm.sh/resource-policy": "keep"}
    assert not is_kept(before)
    assert is_kept(after)
    assert not forgets_data(after)


@pytest.mark.parametrize("policy", [{"whenDeleted": "Delete"}, {"whenDeleted": "Retain", "whenScaled": "Delete"}])
def test_a_stateful_set_that_would_delete_its_claims_retains_them(policy: dict[str, str]) -> None:
    after = kept(stateful(**policy))
    assert after == stateful(**dict.fromkeys(policy, "Retain"))
    assert forgets_data(stateful(**policy))
    assert not forgets_data(after)
    before = stateful(**policy)
    kept(before)
    assert before == stateful(**policy)


@pytest.mark.parametrize(
    "manifest",
    [
        claim({"helm.sh/resource-policy": "keep"}),
        stateful(),
        stateful(whenDeleted="Retain"),
        {"apiVersion": "v1", "kind": "StatefulSet", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "PersistentVolumeClaim"}},
    ],
)
def test_what_keeps_its_data_is_not_changed(manifest: Manifest) -> None:
    assert kept(manifest) is manifest
    text = f"---\n# Source: room/x.yaml\n{json.dumps(manifest)}\n"
    assert keep_data(text) == text


def test_only_the_documents_that_forget_are_rewritten() -> None:
    untouched = (
        "# Source: room/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    --- y\n"
    )
    text = f"---\n{untouched}---\n# Source: room/b.yaml\n{json.dumps(claim())}\n---\n{untouched}"
    rewritten = keep_data(text)
    assert rewritten.count(untouched) == 2
    assert "# Source: room/b.yaml\n" in rewritten
    assert parse(rewritten) == [kept(each) for each in parse(text)]


def test_a_list_is_rewritten_as_its_objects_each_under_where_it_came_from() -> None:
    forgetful = json.dumps({"kind": "List", "items": [claim(), stateful(whenDeleted="Delete")]})
    source = "# Source: room/b.yaml\n# Source: room/c.yaml\n"
    objects = [f"{source}{write_yaml(kept(each))}\n" for each in (claim(), stateful(whenDeleted="Delete"))]
    assert keep_data(f"{source}# more\n{forgetful}\n") == "---\n".join(objects)


def test_a_document_that_may_hold_data_and_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="is not YAML"):
        keep_data("---\nkind: PersistentVolumeClaim\nmetadata: [\n")


NAMES = st.from_regex(r"[a-z]{1,5}", fullmatch=True)
OBJECTS = st.one_of(
    st.builds(claim, st.none() | st.dictionaries(NAMES, st.text(max_size=8), max_size=2)),
    st.builds(lambda text: {**claim(), "kind": "ConfigMap", "data": {"x": text}}, st.text(max_size=20)),
    st.builds(lambda when: stateful(whenDeleted=when), st.sampled_from(["Delete", "Retain"])),
)


@given(st.lists(OBJECTS, max_size=5))
def test_keeping_data_changes_nothing_else_and_nothing_twice(objects: list[Manifest]) -> None:
    text = "".join(f"---\n{write_yaml(each)}\n" for each in objects)
    once = keep_data(text)
    assert parse(once) == [kept(each) for each in objects]
    assert keep_data(once) == once


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(
    st.recursive(
        TEXT | st.booleans() | st.integers() | st.none(),
        lambda inner: st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=4,
    )
)
def test_what_is_written_is_read_back_whatever_its_characters(value: object) -> None:
    assert read_yaml(write_yaml(value)) == value
