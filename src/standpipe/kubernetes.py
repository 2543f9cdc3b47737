"""Settings of tasks for Kubernetes, as in `kfp.kubernetes` (kfp-kubernetes 2.17.3).

Standpipe compiles them as the KFP SDK does, and applies them in local runs.
"""

from standpipe.dsl.kubernetes.init_containers import add_init_container
from standpipe.dsl.kubernetes.objects import (
    set_image_pull_secrets,
    use_config_map_as_env,
    use_config_map_as_volume,
    use_secret_as_env,
    use_secret_as_volume,
)
from standpipe.dsl.kubernetes.pod import (
    add_pod_annotation,
    add_pod_label,
    set_image_pull_policy,
    set_security_context,
    set_timeout,
    use_field_path_as_env,
)
from standpipe.dsl.kubernetes.scheduling import (
    add_node_affinity,
    add_node_affinity_json,
    add_node_selector,
    add_node_selector_json,
    add_toleration,
    add_toleration_json,
)
from standpipe.dsl.kubernetes.volumes import CreatePVC, DeletePVC, add_ephemeral_volume, empty_dir_mount, mount_pvc

__all__ = [
    "CreatePVC",
    "DeletePVC",
    "add_ephemeral_volume",
    "add_init_container",
    "add_node_affinity",
    "add_node_affinity_json",
    "add_node_selector",
    "add_node_selector_json",
    "add_pod_annotation",
    "add_pod_label",
    "add_toleration",
    "add_toleration_json",
    "empty_dir_mount",
    "mount_pvc",
    "set_image_pull_policy",
    "set_image_pull_secrets",
    "set_security_context",
    "set_timeout",
    "use_config_map_as_env",
    "use_config_map_as_volume",
    "use_field_path_as_env",
    "use_secret_as_env",
    "use_secret_as_volume",
]
