"""The admission of pods by the Pod Security Standards, for namespaces that enforce *restricted* in its newest version.

The rules are those of https://kubernetes.io/docs/concepts/security/pod-security-standards/ for Kubernetes 1.37, and the
messages those of the admission plugin (`staging/src/k8s.io/pod-security-admission/policy`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.kubernetes.storage import ApiError, Object, Storage

ENFORCE = "pod-security.kubernetes.io/enforce"

_VOLUMES = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
_SECCOMP = ("RuntimeDefault", "Localhost")
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    )
)


def admit(storage: Storage, namespace: str, pod: Object) -> None:
    """Refuse a new pod that its namespace does not allow. Objects that make pods, such as Jobs, are not refused.

    Raises:
        ApiError: with all violations.
    """
    labels = storage.get(("namespaces", "", namespace))["metadata"].get("labels") or {}
    level = labels.get(ENFORCE, "privileged")
    if level == "privileged":
        return
    assert level == "restricted", f"the test server has no checks for the level {level}"
    violations = list(find_violations(pod["metadata"], pod["spec"]))
    if violations:
        message = f'pods "{pod["metadata"]["name"]}" is forbidden: violates PodSecurity "restricted:latest": '
        raise ApiError(403, "Forbidden", message + ", ".join(violations))


def find_violations(metadata: Object, spec: Object) -> Iterator[str]:
    """Yield what of a pod *restricted* does not allow: first the rules that *baseline* has, too."""
    pod = _Pod(metadata, spec)
    yield from _find_apparmor(pod)
    yield from _find_host_namespaces(pod)
    yield from _find_host_ports(pod)
    yield from _find_probe_hosts(pod)
    if bad := pod.setters(lambda context: (context.get("windowsOptions") or {}).get("hostProcess")):
        yield f"hostProcess ({bad} must not set securityContext.windowsOptions.hostProcess=true)"
    if bad := pod.containers(lambda context: context.get("privileged")):
        yield f"privileged ({bad} must not set securityContext.privileged=true)"
    if bad := pod.containers(lambda context: context.get("procMount", "Default") != "Default"):
        yield f'procMount ({bad} must not set securityContext.procMount to "Unmasked")'
    if bad := pod.setters(_has_bad_selinux):
        yield f"seLinuxOptions ({bad} set forbidden securityContext.seLinuxOptions)"
    if bad_names := [each["name"] for each in pod.context.get("sysctls") or () if each["name"] not in _SYSCTLS]:
        yield f"forbidden sysctls ({', '.join(bad_names)})"
    yield from _find_restricted(pod)


def _find_restricted(pod: _Pod) -> Iterator[str]:
    if bad := pod.containers(lambda context: context.get("allowPrivilegeEscalation") is not False):
        yield f"allowPrivilegeEscalation != false ({bad} must set securityContext.allowPrivilegeEscalation=false)"
    details = []
    if bad := pod.containers(lambda context: "ALL" not in _capabilities(context, "drop")):
        details.append(f'{bad} must set securityContext.capabilities.drop=["ALL"]')
    if bad := pod.containers(lambda context: _bad_capabilities(context)):
        names = sorted({name for _, context in pod.all_containers for name in _bad_capabilities(context)})
        details.append(f"{bad} must not include {_quote(names)} in securityContext.capabilities.add")
    if details:
        yield f"unrestricted capabilities ({'; '.join(details)})"
    kinds = {each["name"]: next(kind for kind in each if kind != "name") for each in pod.spec.get("volumes") or ()}
    if bad_volumes := {name: kind for name, kind in kinds.items() if kind not in _VOLUMES}:
        uses = "uses restricted volume type" if len(bad_volumes) == 1 else "use restricted volume types"
        types = _quote(sorted(set(bad_volumes.values())))
        yield f"restricted volume types ({_count('volume', list(bad_volumes))} {uses} {types})"
    if bad := pod.setters(lambda context: context.get("runAsNonRoot") is False):
        yield f"runAsNonRoot != true ({bad} must not set securityContext.runAsNonRoot=false)"
    elif bad := pod.missing("runAsNonRoot"):
        yield f"runAsNonRoot != true (pod or {bad} must set securityContext.runAsNonRoot=true)"
    if bad := pod.setters(lambda context: context.get("runAsUser") == 0):
        yield f"runAsUser=0 ({bad} must not set runAsUser=0)"
    if bad := pod.setters(lambda context: _seccomp(context) not in (None, *_SECCOMP)):
        values = {_seccomp(context) for context in (pod.context, *(context for _, context in pod.all_containers))}
        names = sorted(value for value in values if value not in (None, *_SECCOMP))
        yield f"seccompProfile ({bad} must not set securityContext.seccompProfile.type to {_quote(names)})"
    elif bad := pod.missing("seccompProfile"):
        yield (
            f"seccompProfile (pod or {bad} must set securityContext.seccompProfile.type to "
            '"RuntimeDefault" or "Localhost")'
        )


class _Pod:
    """The security contexts of a pod and of all its containers, by their names."""

    def __init__(self, metadata: Object, spec: Object) -> None:
        self.annotations: Object = metadata.get("annotations") or {}
        self.spec = spec
        self.context: Object = spec.get("securityContext") or {}
        parts = ("initContainers", "containers", "ephemeralContainers")
        self.objects = [each for part in parts for each in spec.get(part) or ()]
        self.all_containers = [(each["name"], each.get("securityContext") or {}) for each in self.objects]

    def containers(self, is_bad: Callable[[Object], Any]) -> str:
        """Return the containers whose context is bad, as the server names them; empty if there are none."""
        return _count("container", [name for name, context in self.all_containers if is_bad(context)])

    def setters(self, is_bad: Callable[[Object], Any]) -> str:
        """Return the same with the pod itself."""
        return " and ".join(filter(None, ("pod" if is_bad(self.context) else "", self.containers(is_bad))))

    def missing(self, field: str) -> str:
        """Return the containers that have no value for a field, nor has the pod."""
        has_none = self.context.get(field) in (None, {})
        return self.containers(lambda context: has_none and context.get(field) in (None, {}))


def _find_apparmor(pod: _Pod) -> Iterator[str]:
    def is_bad(context: Object) -> bool:
        return (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault") not in _SECCOMP

    details = [f'{bad} must not set AppArmor profile type to "Unconfined"'] if (bad := pod.setters(is_bad)) else []
    for key, value in sorted(pod.annotations.items()):
        if key.startswith(_APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/"):
            details.append(f'annotation "{key}={value}"')
    if details:
        yield f"forbidden AppArmor profile ({', '.join(details)})"


def _find_host_namespaces(pod: _Pod) -> Iterator[str]:
    if bad := [f"{name}=true" for name in ("hostIPC", "hostNetwork", "hostPID") if pod.spec.get(name)]:
        yield f"host namespaces ({', '.join(bad)})"


def _find_host_ports(pod: _Pod) -> Iterator[str]:
    ports = {
        each["name"]: [port["hostPort"] for port in each.get("ports") or () if port.get("hostPort")]
        for each in pod.objects
    }
    if bad := [name for name in ports if ports[name]]:
        numbers = sorted({str(port) for each in ports.values() for port in each})
        yield (
            f"hostPort ({_count('container', bad)} {'uses' if len(bad) == 1 else 'use'} "
            f"{'hostPort' if len(numbers) == 1 else 'hostPorts'} {', '.join(numbers)})"
        )


def _find_probe_hosts(pod: _Pod) -> Iterator[str]:
    hosts = {each["name"]: list(_probe_hosts(each)) for each in pod.objects}
    if bad := [name for name in hosts if hosts[name]]:
        names = sorted({host for each in hosts.values() for host in each})
        yield (
            f"probe or lifecycle host ({_count('container', bad)} {'uses' if len(bad) == 1 else 'use'} "
            f"probe or lifecycle {'host' if len(names) == 1 else 'hosts'} {_quote(names)})"
        )


def _probe_hosts(container: Object) -> Iterator[str]:
    lifecycle = container.get("lifecycle") or {}
    probes = (container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe"))
    for handler in filter(None, (*probes, lifecycle.get("postStart"), lifecycle.get("preStop"))):
        for kind in ("httpGet", "tcpSocket"):
            if host := (handler.get(kind) or {}).get("host"):
                yield host


def _has_bad_selinux(context: Object) -> bool:
    options = context.get("seLinuxOptions") or {}
    return options.get("type", "") not in _SELINUX_TYPES or bool(options.get("user") or options.get("role"))


def _capabilities(context: Object, kind: str) -> list[str]:
    return (context.get("capabilities") or {}).get(kind) or []


def _bad_capabilities(context: Object) -> list[str]:
    return [name for name in _capabilities(context, "add") if name != "NET_BIND_SERVICE"]


def _seccomp(context: Object) -> str | None:
    return (context.get("seccompProfile") or {}).get("type")


def _count(what: str, names: list[str]) -> str:
    return f"{what if len(names) == 1 else what + 's'} {_quote(names)}" if names else ""


def _quote(names: Iterable[str | None]) -> str:
    return ", ".join(f'"{name}"' for name in names)
