"""Each of Helm's sentences means one error of ours: what a person can mend, what time mends, what is not ours."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.gateways.helm_errors import failure, leaves, redact
from innkeeper.model.errors import (
    LONGEST_TEXT,
    BadInput,
    Conflict,
    Forbidden,
    InnkeeperError,
    NotOurs,
    Pending,
    Permanent,
    ReleaseFailed,
    Unreachable,
)

SAID = {
    "another operation (install/upgrade/rollback) is in progress": Conflict,
    "INSTALLATION FAILED: cannot re-use a name that is still in use": Conflict,
    'UPGRADE FAILED: "acme" has no deployed releases': Conflict,
    'create: failed to create: secrets "sh.helm.release.v1.acme.v1" already exists': Conflict,
    'UPGRADE FAILED: Operation cannot be fulfilled on deployments.apps "web": the object has been modified; '
    "please apply your changes to the latest version and try again": Conflict,
    'create: failed to create: secrets "x" is forbidden: unable to create new content in namespace inn-acme '
    "because it is being terminated": Conflict,
    'Unable to continue with install: ConfigMap "a" in namespace "inn-acme" exists and cannot be imported into the '
    "current release: invalid ownership metadata; label validation error: missing key": NotOurs,
    'Kubernetes cluster unreachable: Get "https://127.0.0.1:1/version": connect: connection refused': Unreachable,
    "UPGRADE FAILED: etcdserver: request timed out": Unreachable,
    "UPGRADE FAILED: the server is currently unable to handle the request": Unreachable,
    'UPGRADE FAILED: Patch "https://127.0.0.1:1/api": read tcp 127.0.0.1:1: connection reset by peer': Unreachable,
    'uninstall: Failed to purge the release: Delete "https://127.0.0.1:1/api": unexpected EOF': Unreachable,
    'UPGRADE FAILED: Get "https://h/api": context deadline exceeded': Unreachable,
    'UPGRADE FAILED: template: room/a.yaml:3:8: executing "room/a.yaml" at <lookup "v1" "Secret" "x" "y">: error '
    'calling lookup: Get "https://h/api": dial tcp 127.0.0.1:1: connect: connection refused': Unreachable,
    "UPGRADE FAILED: pre-upgrade hooks failed: 1 error occurred:\n\t* timed out waiting for the condition": Pending,
    'UPGRADE FAILED: release acme failed, and has been cancelled: "context canceled"': Pending,
    "UPGRADE FAILED: pre-upgrade hooks failed: 1 error:\n\t* job x failed: BackoffLimitExceeded": ReleaseFailed,
    'query: failed to query with labels: secrets is forbidden: User "bob" cannot list resource "secrets"': Forbidden,
    'UPGRADE FAILED: persistentvolumeclaims "x" is forbidden: exceeded quota: innkeeper': Forbidden,
    'create: failed to create: namespaces "inn-acme" not found': ReleaseFailed,
    'UPGRADE FAILED: Service "web" is invalid: spec.ports[0].port: Invalid value: 70000': ReleaseFailed,
    'Deployment.apps "web" is invalid: spec.template: Required value: 500 is too many': ReleaseFailed,
    'resource mapping not found for name: "x": no matches for kind "Nonsense" in version "v1"': ReleaseFailed,
    "setpriv: failed to execute /usr/bin/helm: No such file or directory": Permanent,
    "": ReleaseFailed,
}

SAID_OF_A_CHART = {
    "execution error at (room/templates/a.yaml:16:33): eight is too many": "ChartBroken",
    "template: room/templates/a.yaml:1:2: executing at <.Values.x.y>: nil pointer evaluating .y": "ChartBroken",
    "YAML parse error on room/templates/a.yaml: error converting YAML to JSON": "ChartBroken",
    "parse error at (room/templates/a.yaml:3): unclosed action": "ChartBroken",
    "execution error at (room/templates/a.yaml:1:2): connection refused": "ChartBroken",
    "UPGRADE FAILED: chart requires kubeVersion: >=9.0.0 which is incompatible": "ChartBroken",
    'path "/charts/room" not found': "ChartMissing",
    "non-absolute URLs should be in form of repo_name/path_to_chart, got: room": "ChartMissing",
    "Chart.yaml file is missing": "ChartMissing",
    'chart "room" version "9.9.9" not found in https://host/ repository': "ChartMissing",
    "host/room:9.9.9: not found": "ChartMissing",
    "found in Chart.yaml, but missing in charts/ directory: postgresql": "ChartMissing",
    'chart file "0.tmp" is larger than the maximum file size 5242880': "ChartMissing",
    'failed to do request: Head "http://h/v2/x": dial tcp 127.0.0.1:1: connect: connection refused': "Unreachable",
    'looks like "http://h/" is not a valid chart repository or cannot be reached: Get "http://h/index.yaml": '
    "dial tcp: lookup h: no such host": "Unreachable",
    "failed to fetch https://h/room-1.0.0.tgz : 503 Service Unavailable": "Unreachable",
    "failed to fetch https://h/room-1.0.0.tgz : 404 Not Found": "ChartMissing",
}


def told(
    said: str, *, chart: str | None = "charts/room", code: int = 1, secrets: tuple[str, ...] = ()
) -> InnkeeperError:
    return failure(f"Error: {said}" if said else "", code=code, release="inn-acme/acme", chart=chart, secrets=secrets)


@pytest.mark.parametrize(("said", "kind"), SAID.items())
@pytest.mark.parametrize("chart", ["charts/room", None])
def test_a_sentence_about_the_cluster_or_the_release_means(
    said: str, kind: type[InnkeeperError], chart: str | None
) -> None:
    text = said if said.startswith("setpriv") else f"Error: {said}"
    error = failure(text if said else "", code=1, release="inn-acme/acme", chart=chart, secrets=())
    assert type(error) is kind
    assert error.cause.message
    assert error.cause.fix or isinstance(error, Unreachable)


@pytest.mark.parametrize(("said", "code"), SAID_OF_A_CHART.items())
def test_a_sentence_about_a_chart_names_the_chart(said: str, code: str) -> None:
    error = told(said)
    assert error.cause.code == code
    assert isinstance(error, Unreachable if code == "Unreachable" else BadInput)
    assert "charts/room" in str(error)


def test_values_that_do_not_fit_are_named_by_their_key_and_the_others_counted() -> None:
    error = told(
        "UPGRADE FAILED: values don't meet the specifications of the schema(s) in the following chart(s):\n"
        "room:\n- web.replicas: Invalid type. Expected: integer, given: string\n- (root): Additional property x\n"
    )
    assert isinstance(error, BadInput)
    assert error.cause.code == "ValuesInvalid"
    assert "'web.replicas' does not fit the chart's schema: Invalid type." in error.cause.message
    assert "(and 1 more)" in error.cause.message


@pytest.mark.parametrize(("place", "key"), [("/web/replicas", "web.replicas"), ("", "(root)")])
def test_values_that_a_newer_helm_finds_unfit_are_named_by_their_key_too(place: str, key: str) -> None:
    error = told(
        "UPGRADE FAILED: values don't meet the specifications of the schema(s) in the following chart(s):\n"
        f"room:\n- at '{place}': got string, want integer\n"
    )
    assert f"'{key}' does not fit the chart's schema: got string, want integer" in error.cause.message


def test_a_newer_helms_way_to_list_misfits_is_still_the_values_fault() -> None:
    error = told("values don't meet the specifications of the schema(s) in the following chart(s):\nroom: at '/a'")
    assert error.cause.code == "ValuesInvalid"
    assert "at '/a'" in error.cause.message


def test_warnings_and_progress_are_left_out() -> None:
    error = failure(
        'Release "acme" does not exist. Installing it now.\n'
        "W1123 11:57:24.1 warnings.go:70] would violate PodSecurity\n"
        "WARNING: Kubernetes configuration file is group-readable\n"
        "Error: UPGRADE FAILED: it is so\nUse --debug flag to render out invalid YAML\n",
        code=1,
        release="inn-acme/acme",
        chart=None,
        secrets=(),
    )
    assert error.cause.message == "Helm: it is so"
    assert error.cause.object == "Release inn-acme/acme"


UNDONE = (
    'client.go:486: 2026-11-24 22:32:43 [debug] Starting delete for "web" Service\n'
    "uninstall.go:124: 2026-11-24 22:32:43 [debug] uninstall: Failed to delete release: [{why}]\n"
    "Error: failed to delete release: acme\n"
    "helm.go:86: 2026-11-24 22:32:43 [debug] failed to delete release: acme\n"
    "helm.sh/helm/v3/pkg/action.(*Uninstall).Run\n\thelm.sh/helm/v3/pkg/action/uninstall.go:125\n"
)


@pytest.mark.parametrize(
    ("why", "kind"),
    [
        (
            'Delete "https://h/web": read tcp 127.0.0.1:43146->127.0.0.1:43083: read: connection reset by peer',
            Unreachable,
        ),
        ('Delete "https://h/web": EOF Delete "https://h/db": EOF', Unreachable),
        ('services "web" is forbidden: User "bob" cannot delete resource "services"', Forbidden),
        ("admission webhook said no", ReleaseFailed),
    ],
)
def test_an_uninstall_that_could_not_delete_all_is_told_by_the_reasons_alone(
    why: str, kind: type[InnkeeperError]
) -> None:
    error = failure(UNDONE.format(why=why), code=1, release="inn-acme/acme", chart=None, secrets=())
    assert type(error) is kind
    assert error.cause.message.endswith(f"failed to delete release: acme: {why}")


def test_an_uninstall_that_does_not_say_why_is_tried_again() -> None:
    assert type(told("failed to delete release: acme")) is Pending


def test_a_helm_without_a_word_is_said_to_have_given_no_reason() -> None:
    assert told("").cause.message == "Helm: it gave no reason"


def test_a_signal_is_no_answer() -> None:
    assert told("uninstall: Release not loaded: acme: release: not found", code=-9).cause.code == "HelmKilled"


def test_a_secret_is_blotted_out_plain_and_in_base64_even_where_one_holds_another() -> None:
    encoded = base64.b64encode(b"hunter22").decode()
    text = redact(f"a hunter2 b hunter22 c {encoded} d abc", ["hunter2", "hunter22", "abc"])
    assert text == "a *** b *** c *** d abc"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_secret_is_blotted_out_of_the_base64_of_something_longer(before: str) -> None:
    whole = base64.b64encode(f"{before}s3cr3t-of-ours, and more".encode()).decode()
    assert redact(f"data: {whole}", ["s3cr3t-of-ours"]).count("***") == 1
    told = b"".join(
        base64.b64decode(part + "=" * (-len(part) % 4)) for part in redact(whole, ["s3cr3t-of-ours"]).split("***")
    )
    assert b"s3cr3t" not in told


def test_a_secret_is_blotted_out_where_it_is_quoted_and_of_several_lines_each() -> None:
    secret = 'one "line" \u00e9\nand another'
    text = f"{secret!r} {json.dumps(secret)} {json.dumps(secret, ensure_ascii=False)} and another, one "
    assert redact(text, [secret]) == """'***\\n***' "***" "***" ***, one """


def test_a_long_text_is_cut_after_its_secrets_are_out() -> None:
    assert len(redact("x" * 9_000, [])) == LONGEST_TEXT
    cut = "x" * (LONGEST_TEXT - 3) + "secret"
    assert "sec" not in redact(cut, ["secret"])


def test_every_end_of_nested_values_counts_as_a_secret() -> None:
    values = {"a": "one", "b": {"c": ["two", {"d": "three"}, ["four"]], "e": 5}, "f": None, "g": True}
    assert leaves(values) == ["one", "two", "three", "four", "5"]


@given(st.text(), st.integers(-64, 255), st.none() | st.just("charts/room"))
def test_whatever_helm_says_becomes_an_error_of_ours(said: str, code: int, chart: str | None) -> None:
    error = failure(said, code=code, release="n/r", chart=chart, secrets=("secret",))
    assert isinstance(error, InnkeeperError)
    assert len(error.cause.message) <= LONGEST_TEXT


def test_what_can_never_be_changed_is_said_with_what_to_leave_as_it_was() -> None:
    said = (
        'UPGRADE FAILED: cannot patch "db" with kind StatefulSet: StatefulSet.apps "db" is invalid: spec: Forbidden: '
        "updates to statefulset spec for fields other than 'replicas', 'template' are forbidden"
    )
    error = failure(said, code=1, release="inn-acme/acme", chart="room", secrets=())
    assert (type(error), error.cause.code) == (ReleaseFailed, "ImmutableField")
    assert "the size and class of its volumes" in error.cause.fix
