"""What a picture of the fleet keeps: little, since a worker holds it of all instances at once."""

from innkeeper.model.drift_picture import Picture

MANAGED = {"managedFields": [{"manager": "innkeeper", "fieldsV1": {"f:spec": {}}}]}


def test_who_wrote_what_stands_around_a_release_is_not_kept() -> None:
    namespace = {"kind": "Namespace", "metadata": {"name": "inn-acme", "labels": {"a": "b"}, **MANAGED}}
    quota = {
        "kind": "ResourceQuota",
        "metadata": {"name": "innkeeper", "namespace": "inn-acme", **MANAGED},
        "spec": {"hard": {"pods": "3"}},
    }
    picture = Picture()
    picture.take([namespace, quota])
    home = picture.home("inn-acme")
    assert home.namespace == {"kind": "Namespace", "metadata": {"name": "inn-acme", "labels": {"a": "b"}}}
    assert home.around == {
        ("ResourceQuota", "innkeeper"): {
            "kind": "ResourceQuota",
            "metadata": {"name": "innkeeper", "namespace": "inn-acme"},
            "spec": {"hard": {"pods": "3"}},
        }
    }
