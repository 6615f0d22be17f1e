"""The statuses that simulated nodes write, as kwok's Go templates: `stages` says when each is due.

A status is merged into what is there, so each names only what it changes; an address or start time is given once.
"""

from __future__ import annotations

from textwrap import indent

_NOW = "{{ $now := Now }}\n"

_NODE_CONDITIONS = """\
{{ $since := or .metadata.creationTimestamp $now }}
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $since | Quote }}
{{ end }}
"""

HEARTBEAT = _NOW + _NODE_CONDITIONS

NODE = (
    _NOW
    + _NODE_CONDITIONS
    + """\
addresses:
- type: Hostname
  address: {{ NodeName | Quote }}
{{ range $size := list "allocatable" "capacity" }}
{{ $size }}:
  cpu: "64"
  memory: 256Gi
  ephemeral-storage: 1Ti
  pods: "1000"
{{ end }}
nodeInfo:
  architecture: amd64
  operatingSystem: linux
  kernelVersion: simulated
  osImage: simulated
  containerRuntimeVersion: {{ printf "kwok://%s" Version | Quote }}
  kubeletVersion: {{ printf "kwok-%s" Version | Quote }}
  kubeProxyVersion: ""
  machineID: ""
  systemUUID: ""
  bootID: ""
phase: Running
"""
)

_STARTED = """\
{{ if not .status.startTime }}
startTime: {{ $now | Quote }}
{{ with NodeIPsWith .spec.nodeName }}
hostIP: {{ index . 0 | Quote }}
hostIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
{{ $onHost := or .spec.hostNetwork false }}
{{ with PodIPsWith .spec.nodeName $onHost .metadata.uid .metadata.name .metadata.namespace }}
podIP: {{ index . 0 | Quote }}
podIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
{{ end }}
"""

_RUNNING = """\
ready: {ready}
restartCount: 0
started: true
state:
  running:
    startedAt: {{{{ $now | Quote }}}}
"""

_EXITED = """\
terminated:
  exitCode: {code}
  reason: {reason}
  startedAt: {{{{ $now | Quote }}}}
  finishedAt: {{{{ $now | Quote }}}}
"""

_INIT_DONE = (
    """\
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: true
  restartCount: 0
  {{ if eq .restartPolicy "Always" }}
  started: true
  state:
    running:
      startedAt: {{ $now | Quote }}
  {{ else }}
  started: false
  state:
"""
    + indent(_EXITED.format(code=0, reason="Completed"), "    ")
    + """\
  {{ end }}
{{ end }}
"""
)

_GATES = """\
{{ range .spec.readinessGates }}
- type: {{ .conditionType | Quote }}
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
"""


def _conditions(*, initialized: bool = True, ready: bool, because: str = "ContainersNotReady") -> str:
    holds = {"PodReadyToStartContainers": True, "Initialized": initialized, "ContainersReady": ready, "Ready": ready}
    lines = ["conditions:"]
    for name, held in holds.items():
        lines += [f"- type: {name}", f'  status: "{held}"', "  lastTransitionTime: {{ $now | Quote }}"]
        if not held:
            lines.append(f"  reason: {'ContainersNotInitialized' if name == 'Initialized' else because}")
    return "\n".join(lines) + "\n"


def _containers(body: str) -> str:
    return f"""\
containerStatuses:
{{{{ range .spec.containers }}}}
- name: {{{{ .name | Quote }}}}
  image: {{{{ .image | Quote }}}}
  imageID: {{{{ .image | Quote }}}}
{indent(body, "  ")}{{{{ end }}}}
"""


def running(*, ready: bool) -> str:
    """A pod whose containers run, after its init containers have done their work."""
    body = _RUNNING.format(ready=str(ready).lower())
    conditions = _conditions(ready=ready) + (_GATES if ready else "")
    return _NOW + conditions + _containers(body) + _INIT_DONE + _STARTED + "phase: Running\n"


def ended(*, exit_code: int) -> str:
    """A pod whose containers have all ended and stay so."""
    reason, phase, because = (
        ("Completed", "Succeeded", "PodCompleted") if exit_code == 0 else ("Error", "Failed", "PodFailed")
    )
    body = "ready: false\nrestartCount: 0\nstarted: false\nstate:\n"
    body += indent(_EXITED.format(code=exit_code, reason=reason), "  ")
    return _NOW + _conditions(ready=False, because=because) + _containers(body) + f"phase: {phase}\n"


def _broken(body: str, phase: str) -> str:
    """A pod with a container that cannot run: every one by annotation, those with a fault for an image without."""
    return (
        _NOW
        + '{{ $all := index ( or .metadata.annotations dict ) "kwok.innkeeper.dev/fault" }}\n'
        + _conditions(ready=False)
        + _containers(
            '{{ if or $all ( hasPrefix "faults.innkeeper.dev/" .image ) }}\n'
            + body
            + "{{ else }}\n"
            + _RUNNING.format(ready="true")
            + "{{ end }}\n"
        )
        + _INIT_DONE
        + _STARTED
        + f"phase: {phase}\n"
    )


def _waiting(reason: str, message: str = "") -> str:
    text = f"ready: false\nrestartCount: 0\nstarted: false\nstate:\n  waiting:\n    reason: {reason}\n"
    return text + (f"    message: {message}\n" if message else "")


_BACK_OFF_MESSAGE = '{{ printf "back-off 10s restarting failed container=%s" .name | Quote }}'
_CRASH = _EXITED.format(code=1, reason="Error")

IMAGE_ERROR = _broken(
    _waiting("ErrImagePull", '{{ printf "failed to pull and unpack image %q: not found" .image | Quote }}'), "Pending"
)
IMAGE_BACK_OFF = _broken(
    _waiting("ImagePullBackOff", '{{ printf "Back-off pulling image %q" .image | Quote }}'), "Pending"
)
CONFIG_ERROR = _broken(_waiting("CreateContainerConfigError", 'secret "credentials" not found'), "Pending")
CREATING = _broken(_waiting("ContainerCreating"), "Pending")
CRASHED = _broken("ready: false\nrestartCount: 0\nstarted: false\nstate:\n" + indent(_CRASH, "  "), "Running")
CRASH_LOOP = """\
{{ $restarts := 1 }}
{{ range .status.containerStatuses }}
{{ if ge ( int .restartCount ) $restarts }}
{{ $restarts = add1 ( int .restartCount ) }}
{{ end }}
{{ end }}
""" + _broken(
    _waiting("CrashLoopBackOff", _BACK_OFF_MESSAGE).replace("restartCount: 0", "restartCount: {{ $restarts }}")
    + "lastState:\n"
    + indent(_CRASH, "  "),
    "Running",
)
INIT_CRASH_LOOP = (
    _NOW
    + _conditions(initialized=False, ready=False)
    + _containers(_waiting("PodInitializing"))
    + """\
initContainerStatuses:
{{ range $index, $item := .spec.initContainers }}
{{ with $item }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
{{ if eq $index 0 }}
"""
    + indent(_waiting("CrashLoopBackOff", _BACK_OFF_MESSAGE).replace("restartCount: 0", "restartCount: 1"), "  ")
    + indent("lastState:\n" + indent(_CRASH, "  "), "  ")
    + "{{ else }}\n"
    + indent(_waiting("PodInitializing"), "  ")
    + "{{ end }}\n{{ end }}\n{{ end }}\n"
    + _STARTED
    + "phase: Pending\n"
)

VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata:
  name: pvc-{{ .metadata.uid }}
  annotations:
    pv.kubernetes.io/provisioned-by: PROVISIONER
spec:
  accessModes:
  {{ YAML .spec.accessModes 2 }}
  capacity:
  {{ YAML .spec.resources.requests 2 }}
  persistentVolumeReclaimPolicy: Delete
  storageClassName: {{ .spec.storageClassName | Quote }}
  volumeMode: {{ default "Filesystem" .spec.volumeMode | Quote }}
  claimRef:
    apiVersion: v1
    kind: PersistentVolumeClaim
    name: {{ .metadata.name | Quote }}
    namespace: {{ .metadata.namespace | Quote }}
    resourceVersion: {{ .metadata.resourceVersion | Quote }}
    uid: {{ .metadata.uid | Quote }}
  hostPath:
    path: /var/lib/simulated/{{ .metadata.uid }}
    type: DirectoryOrCreate
"""
