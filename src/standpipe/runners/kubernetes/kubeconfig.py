"""The configuration of the connection to a cluster, and the clients that are made of it."""

from __future__ import annotations

from httpx2 import Timeout
from lightkube import Client, ConfigError, KubeConfig, SingleConfig
from lightkube.config.client_adapter import ConnectionParams
from lightkube.core.generic_client import GenericSyncClient

from standpipe.errors import RunnerError
from standpipe.runners.kubernetes.api_errors import describe

#: The seconds that a request may take.
TIMEOUT = 30.0


def read_config(context: str | None) -> SingleConfig:
    """Return a context of the kubeconfig; in a pod, the account of the pod.

    Args:
        context: the name of the context; None for the current one.

    Raises:
        RunnerError: if it cannot be read.
    """
    try:
        config = KubeConfig.from_env().get(context)
    except Exception as error:  # it takes the content of the file for what it should be
        raise RunnerError(
            f"The KubernetesRunner has no cluster: {describe(error)}. Check the kubeconfig, which is that of the "
            "variable KUBECONFIG or ~/.kube/config, and the context: local.KubernetesRunner(context=...)."
        ) from error
    assert config is not None, "without a default, that is an error"
    return config


def open_client(config: SingleConfig, namespace: str | None) -> Client:
    """Return a client for requests.

    Args:
        config: the configuration.
        namespace: the namespace; None for that of the context.

    Raises:
        RunnerError: if the configuration cannot be used.
    """
    try:
        return Client(config, namespace=namespace, timeout=Timeout(TIMEOUT))
    except (ConfigError, OSError, ValueError) as error:
        raise RunnerError(f"The configuration of the Kubernetes cluster cannot be used: {describe(error)}") from error


def open_stream_client(config: SingleConfig, namespace: str) -> GenericSyncClient:
    """Return a client for answers that have no end yet: logs and watches."""
    return GenericSyncClient(ConnectionParams(timeout=Timeout(TIMEOUT)), config, namespace=namespace)
