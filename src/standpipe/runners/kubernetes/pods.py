"""The Job of an attempt, and its pod: `fetch`, the containers of the user, `main`, `store`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from standpipe.model.attempts import TaskRequest
from standpipe.model.plan import PythonFunction
from standpipe.runners.kubernetes import names
from standpipe.runners.kubernetes.security import SecurityContexts, make_security_contexts
from standpipe.runners.kubernetes.settings import DEFAULTS, AgentSettings
from standpipe.runners.request_files import request_file
from standpipe.support.pip_commands import INSTALL_SCRIPT, PIP_INSTALL, format_index_options, quote_requirements

#: The names of our containers, in the order in which they run. `main` is that of KFP.
FETCH, MAIN, STORE = "fetch", "main", "store"

#: The volumes of every pod: our code, with the request; it in a ConfigMap; and the pipeline root of the node.
_AGENT, _CODE, _STATE = "standpipe-agent", "standpipe-code", "standpipe-state"

#: The volume with the folders of a user that its image does not know, whose home is `/`: pip installs there, for
#: instance. As KFP has them (KFP's backend, `compiler/argocompiler/container.go`).
_HOME, _HOME_FOLDERS = "standpipe-home", (".local", ".cache", ".config")

#: Where these are in our containers, and where the worker is in that of a task. The ConfigMap has one file.
AGENT_FOLDER, CODE_FOLDER, CODE_FILE = "/standpipe", "/standpipe-code", "standpipe.zip"
WORKER = f"{AGENT_FOLDER}/worker"
_WORKER_SUBPATH = "code/standpipe/worker"

#: As KFP does, pods ask Istio for no proxy: it would start after `fetch`, and never end (KFP's backend,
#: `apiserver/template/v2_template.go`). A label in newer versions of Istio, an annotation in older ones.
_NO_MESH = {"sidecar.istio.io/inject": "false"}

#: The seconds for which Kubernetes keeps a Job that has ended, whose program has not deleted it.
_SECONDS_KEPT = 3600

#: The seconds between SIGTERM and SIGKILL.
GRACE_PERIOD = 10

#: What our containers need to be placed on a node. They do not run with the task, so larger tasks need no more.
_AGENT_RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}}

#: Starts the agent with the code of the ConfigMap. obstore is installed, unless the image has it.
BOOTSTRAP = f"""
import importlib, os, subprocess, sys, zipfile
code, packages = "{AGENT_FOLDER}/code", "{AGENT_FOLDER}/packages"
if not os.path.isdir(code):
    zipfile.ZipFile("{CODE_FOLDER}/{CODE_FILE}").extractall(code)
sys.path[:0] = [code]
sys.path.append(packages)
missing = []
for name in ("obstore", "blake3"):
    try:
        importlib.import_module(name)
    except ImportError:
        missing.append(name)
if missing:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    if subprocess.call([*pip, "--root-user-action=ignore", "--target", packages, *missing]):
        sys.exit("The packages obstore and blake3 could not be installed. Use an agent_image that has them.")
    importlib.invalidate_caches()
from standpipe.runners.kubernetes.agent import main
main(*sys.argv[1:])
"""


class PodPlan(NamedTuple):
    """What the pod of an attempt is made from, besides its request.

    Args:
        job: the name of the Job.
        owner: the label of this program.
        code: the name of the ConfigMap with our code.
        mailbox: the URI of the messages in the object store.
        checksum: that of the request in there.
        settings: what the user chose.
    """

    job: str
    owner: str
    code: str
    mailbox: str
    checksum: str
    settings: AgentSettings = DEFAULTS


def make_job(request: TaskRequest, plan: PodPlan) -> dict[str, Any]:
    """Return the Job of an attempt, which Kubernetes never repeats: the engine retries."""
    metadata = {"labels": names.pod_labels(request, plan.owner), "annotations": names.pod_annotations(request)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": plan.job, **metadata},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _SECONDS_KEPT,
            "template": {"metadata": _pod_metadata(request, metadata), "spec": _pod_spec(request, plan)},
        },
    }


def make_code(name: str, archive: str) -> dict[str, Any]:
    """Return the ConfigMap with our code.

    Args:
        name: its name, which has the digest of the archive.
        archive: the archive, in Base64.
    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {names.MANAGED_BY: "standpipe"}},
        "binaryData": {CODE_FILE: archive},
        "immutable": True,
    }


def _pod_metadata(request: TaskRequest, ours: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the metadata of the pod: ours win over the user's, as the runner finds pods by them."""
    return {
        "labels": {**_NO_MESH, **request.pod.labels, **ours["labels"]},
        "annotations": {**_NO_MESH, **request.pod.manifest.annotations, **ours["annotations"]},
    }


def _pod_spec(request: TaskRequest, plan: PodPlan) -> dict[str, Any]:
    """Return the pod: what the user has set, with our volumes and containers around theirs."""
    account = {"serviceAccountName": plan.settings.service_account} if plan.settings.service_account else {}
    manifest = request.pod.manifest
    security = make_security_contexts(manifest.security_context, plan.settings.run_as_user)
    return {
        "terminationGracePeriodSeconds": GRACE_PERIOD,
        **account,
        **({"securityContext": security.pod} if security.pod else {}),
        **manifest.spec,
        "restartPolicy": "Never",
        "volumes": [
            {"name": _AGENT, "emptyDir": {}},
            {"name": _CODE, "configMap": {"name": plan.code}},
            {"name": _STATE, "emptyDir": {}},
            *([{"name": _HOME, "emptyDir": {}}] if security.has_user else []),
            *manifest.volumes,
        ],
        "initContainers": [
            _agent_container(FETCH, request, plan, security),
            *manifest.init_containers,
            _main_container(request, security),
        ],
        "containers": [_agent_container(STORE, request, plan, security)],
    }


def _agent_container(name: str, request: TaskRequest, plan: PodPlan, security: SecurityContexts) -> dict[str, Any]:
    """Return one of our containers. Only they have the credentials to the object store, and never run with the task."""
    secret = [{"secretRef": {"name": plan.settings.store_secret}}] if plan.settings.store_secret else []
    return {
        "name": name,
        "image": plan.settings.image,
        "command": ["python3", "-c", BOOTSTRAP],
        "args": [name, plan.mailbox, plan.checksum],
        **({"envFrom": secret} if secret else {}),
        "resources": _AGENT_RESOURCES,
        **({"securityContext": security.agent} if security.agent else {}),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": _AGENT, "mountPath": AGENT_FOLDER},
            {"name": _CODE, "mountPath": CODE_FOLDER, "readOnly": True},
            {"name": _STATE, "mountPath": str(request.pipeline_root)},
        ],
    }


def _main_container(request: TaskRequest, security: SecurityContexts) -> dict[str, Any]:
    """Return the container of the task, which sees the pipeline root of its node, and of our code only the worker."""
    manifest = request.pod.manifest
    variables = {**request.variables, "KFP_RETRY_INDEX": str(request.retry_index)}
    env: dict[str, Mapping[str, Any]] = {name: {"name": name, "value": value} for name, value in variables.items()}
    env.update((each["name"], each) for each in manifest.env)
    mounts = manifest.volume_mounts
    optional: dict[str, Any] = {
        "imagePullPolicy": request.pod.pull_policy,
        "resources": _resources(request),
        "securityContext": security.main,
    }
    return {
        **{field: value for field, value in optional.items() if value},
        "name": MAIN,
        "image": request.image,
        **_program(request),
        "env": list(env.values()),
        "volumeMounts": [
            {"name": _AGENT, "mountPath": WORKER, "subPath": _WORKER_SUBPATH, "readOnly": True},
            {"name": _STATE, "mountPath": str(request.pipeline_root)},
            *(_home_mounts({mount["mountPath"] for mount in mounts}) if security.has_user else ()),
            *mounts,
        ],
    }


def _home_mounts(taken: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the mounts of the folders of a user without a home, but those at the paths of the user's own mounts."""
    for folder in _HOME_FOLDERS:
        if f"/{folder}" not in taken:
            yield {"name": _HOME, "mountPath": f"/{folder}", "subPath": folder}


def _program(request: TaskRequest) -> dict[str, list[str]]:
    if isinstance(request.program, PythonFunction):
        return {
            "command": [*_installation(request.program), "python3", f"{WORKER}/boot.py"],
            "args": ["pod", str(request_file(request.folder))],
        }
    command, args = map(list, (request.program.command, request.program.args))
    return {**({"command": command} if command else {}), **({"args": args} if args else {})}


def _installation(function: PythonFunction) -> list[str]:
    """Return the beginning of the command that installs the packages of a function, as KFP's own command does."""
    if not function.packages:
        return []
    options = format_index_options(function.index_urls, function.trusted_hosts)
    commands = PIP_INSTALL + options + quote_requirements(function.packages)
    # The shell is replaced by Python, which then gets the signals.
    return ["sh", "-c", INSTALL_SCRIPT.replace("{commands}", commands).replace('"$0" "$@"', 'exec "$0" "$@"')]


def _resources(request: TaskRequest) -> dict[str, dict[str, str]]:
    requests, limits = dict[str, str](), dict[str, str]()
    wanted = request.resources
    for name, amount, limit in (
        ("cpu", _to_cpu(wanted.cpu), _to_cpu(request.limits.cpu)),
        ("memory", _to_memory(wanted.memory), _to_memory(request.limits.memory)),
    ):
        requests.update({name: amount} if amount else {})
        limits.update({name: limit} if limit else {})
    if wanted.gpus:
        limits[wanted.accelerator if "/" in wanted.accelerator else "nvidia.com/gpu"] = str(wanted.gpus)
    return {kind: amounts for kind, amounts in (("requests", requests), ("limits", limits)) if amounts}


def _to_cpu(cores: float | None) -> str:
    """Return a number of cores as Kubernetes takes it: thousandths at most, and not less than one."""
    return f"{max(1, round(cores * 1000))}m" if cores else ""


def _to_memory(size: int | None) -> str:
    return str(size) if size else ""
