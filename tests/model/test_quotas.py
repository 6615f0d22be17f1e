"""Whether what is there fits a quota: as much as the API server would count, were it made anew."""

from __future__ import annotations

from typing import Any

import pytest

from innkeeper.model.quotas import Defaults, Used, unfit


def container(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **more: Any) -> Any:
    resources = {"requests": requests, "limits": limits}
    return {"name": "main", "resources": {key: value for key, value in resources.items() if value}, **more}


def pod(*containers: Any, **spec: Any) -> Any:
    return {"metadata": {"name": "web-0"}, "spec": {"containers": list(containers), **spec}}


def claim(size: str) -> Any:
    return {"spec": {"resources": {"requests": {"storage": size}}}}


TWO = (pod(container({"cpu": "500m"}, {"cpu": "1"})), pod(container({"cpu": "1"}, {"cpu": "2"})))


NONE: Defaults = {}


def told(hard: dict[str, str], *pods: Any, claims: tuple[Any, ...] = (), defaults: Defaults = NONE) -> str:
    return unfit(hard, Used(pods, claims, defaults))


@pytest.mark.parametrize("key", ["pods", "count/pods"])
def test_pods_are_counted(key: str) -> None:
    assert told({key: "2"}, *TWO) == ""
    assert told({key: "1"}, *TWO) == f"{key}: 2 are used, and the plan allows 1"


@pytest.mark.parametrize(
    ("key", "fits", "narrow"),
    [("cpu", "1500m", "1499m"), ("requests.cpu", "1.5", "1"), ("limits.cpu", "3", "2900m")],
)
def test_what_pods_ask_for_is_added_up(key: str, fits: str, narrow: str) -> None:
    assert told({key: fits}, *TWO) == ""
    used = "3" if key == "limits.cpu" else "1.5"
    assert told({key: narrow}, *TWO) == f"{key}: {used} are used, and the plan allows {narrow}"


def test_volume_claims_are_counted_and_their_sizes_added_up() -> None:
    claims = (claim("1Gi"), claim("2Gi"))
    hard = {"persistentvolumeclaims": "2", "count/persistentvolumeclaims": "2", "requests.storage": "3Gi"}
    assert told(hard, claims=claims) == ""
    assert told({"persistentvolumeclaims": "1"}, claims=claims).startswith("persistentvolumeclaims: 2 are used")
    assert told({"requests.storage": "2Gi"}, claims=claims) == (
        "requests.storage: 3221225472 are used, and the plan allows 2Gi"
    )


def test_what_is_not_counted_is_said() -> None:
    assert told({"services.loadbalancers": "1"}) == "services.loadbalancers: what is used of it is not counted here"


@pytest.mark.parametrize("key", ["requests.memory", "limits.memory", "memory"])
def test_a_container_that_says_nothing_would_be_refused(key: str) -> None:
    assert told({key: "1Gi"}, *TWO) == f"{key}: a container of Pod web-0 says none"
    silent = pod(container({"memory": "1Mi"}, {"memory": "1Mi"}), initContainers=[container()])
    assert told({key: "1Gi"}, silent) == f"{key}: a container of Pod web-0 says none"


def test_what_a_container_does_not_say_is_filled_in_as_the_api_server_does() -> None:
    default: Defaults = {"default": {"cpu": "2"}}
    both: Defaults = {**default, "defaultRequest": {"cpu": "1"}}
    silent, limited = pod(container()), pod(container(None, {"cpu": "3"}))
    assert told({"limits.cpu": "2"}, silent, defaults=default) == ""
    assert told({"limits.cpu": "1"}, silent, defaults=default) != ""
    assert told({"requests.cpu": "1"}, silent, defaults=both) == ""
    assert told({"requests.cpu": "1"}, silent, defaults=default) != ""
    assert told({"requests.cpu": "2"}, silent, defaults=default) == ""
    assert told({"requests.cpu": "3"}, limited, defaults=both) == ""
    assert told({"requests.cpu": "2"}, limited, defaults=both) != ""


def test_a_pod_counts_with_its_containers_or_with_one_that_runs_before_them() -> None:
    first = container({"cpu": "3"})
    beside = container({"cpu": "1"}, restartPolicy="Always")
    main = container({"cpu": "1"})
    assert told({"cpu": "3"}, pod(main, main, initContainers=[first])) == ""
    assert told({"cpu": "2"}, pod(main, main, initContainers=[first])) != ""
    assert told({"cpu": "3"}, pod(main, main, initContainers=[beside])) == ""
    assert told({"cpu": "2"}, pod(main, main, initContainers=[beside])) != ""
    assert told({"cpu": "2"}, pod(main, overhead={"cpu": "1"})) == ""
    assert told({"cpu": "1"}, pod(main, overhead={"cpu": "1"})) != ""
