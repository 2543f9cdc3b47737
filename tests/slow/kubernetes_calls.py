"""Calls of the functions of kfp-kubernetes with valid and invalid arguments, for the KFP SDK and for Standpipe.

Run as a program, it prints a JSON list: for each call the settings, or the names of the classes of the error.
"""

import json
from typing import Any

from kfp import dsl, kubernetes

VOLUME: dict[str, Any] = {"volume_name": "v", "mount_path": "/v"}
EPHEMERAL: dict[str, Any] = {**VOLUME, "access_modes": ["ReadWriteOnce"], "size": "1Gi"}
REQUIREMENT: dict[str, Any] = {"key": "zone", "operator": "In", "values": ["a"]}

#: The function, and its arguments by name.
CALLS: list[tuple[str, dict[str, Any]]] = [
    *(
        ("use_secret_as_env", {"secret_name": name, "secret_key_to_env": {"k": "V"}})
        for name in ("db", "", 1, None, [])
    ),
    *(
        ("use_secret_as_env", {"secret_name": "db", "secret_key_to_env": pairs})
        for pairs in ({}, {"": ""}, {"k": 1}, {1: "K"})
    ),
    *(
        (f"use_{kind}_as_env", {f"{kind}_name": "a", f"{kind}_key_to_env": {"k": "V"}, "optional": optional})
        for kind in ("secret", "config_map")
        for optional in (True, False, None, 1, "yes")
    ),
    *(
        (f"use_{kind}_as_volume", {f"{kind}_name": "a", "mount_path": path, "optional": True})
        for kind in ("secret", "config_map")
        for path in ("/a", "", None, 1, ["/a"])
    ),
    *(("mount_pvc", {"pvc_name": name, "mount_path": "/a"}) for name in ("data", "", 1, None, {"a": "b"})),
    *(("mount_pvc", {"pvc_name": "data", "mount_path": "/a", "sub_path": path}) for path in ("a/b", "", None, 1)),
    *(("empty_dir_mount", {**VOLUME, "medium": medium}) for medium in (None, "", "Memory", "other", 1)),
    *(("empty_dir_mount", {**VOLUME, "size_limit": size}) for size in (None, "", "1Gi", 1)),
    *(("add_ephemeral_volume", {**EPHEMERAL, "storage_class_name": name}) for name in (None, "", "fast", 1)),
    *(
        ("add_ephemeral_volume", {**EPHEMERAL, "labels": labels})
        for labels in (None, {}, {"a": ""}, {"a": 1}, {1: "a"})
    ),
    *(
        ("add_ephemeral_volume", {**EPHEMERAL, "annotations": {"a": "b"}, "access_modes": modes})
        for modes in ([], [1], 1)
    ),
    *(("use_field_path_as_env", {"env_name": name, "field_path": "x"}) for name in ("A", "", None, 1)),
    *(("set_timeout", {"seconds": seconds}) for seconds in (0, 1, True, 2**31, 2**63, -1, "1", 1.0, None)),
    *(("set_image_pull_policy", {"policy": policy}) for policy in ("Always", "always", "", None, 1)),
    *(("set_image_pull_secrets", {"secret_names": names}) for names in ([], ["a", "b"], ("a", ""), ["a", 1], 1, None)),
    *(("add_node_selector", {"label_key": key, "label_value": "v"}) for key in ("k", "", 1, None)),
    *(
        ("add_node_selector_json", {"node_selector_json": labels})
        for labels in ({}, {"a": "b"}, "a", 1, ["a"], {"a": {1}})
    ),
    *(
        ("add_node_affinity", arguments)
        for arguments in ({}, {"match_expressions": []}, {"match_fields": [REQUIREMENT]})
    ),
    *(("add_node_affinity", {"weight": weight}) for weight in (1, 100, 0, 101, -1, "1", 1.0)),
    *(
        ("add_node_affinity", {"match_expressions": [{**REQUIREMENT, **change}]})
        for change in ({"key": ""}, {"key": 1}, {"operator": ""}, {"operator": "in"}, {"values": []}, {"values": [1]})
    ),
    *(
        ("add_node_affinity", {"match_fields": [{"key": "a"}]}),
        ("add_node_affinity", {"match_fields": [{"operator": "In"}]}),
    ),
    *(
        ("add_node_affinity_json", {"node_affinity_json": affinity})
        for affinity in (
            {},
            {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}},
            {"preferred_during_scheduling_ignored_during_execution": []},
            {"required": {}},
            "text",
            1,
            [],
            None,
        )
    ),
    *(("add_toleration", arguments) for arguments in ({}, {"key": ""}, {"key": "k", "operator": "any"}, {"value": 1})),
    *(("add_toleration", {"toleration_seconds": seconds}) for seconds in (0, -5, 2**40, "1", 1.5)),
    *(
        ("add_toleration_json", {"toleration_json": toleration})
        for toleration in ([], {}, {"key": "a", "tolerationSeconds": 5}, [{"toleration_seconds": 5}], "a", 1, None)
    ),
    *(("add_pod_label", {"label_key": key, "label_value": "v"}) for key in ("k", "", 1, None)),
    *(("add_pod_annotation", {"annotation_key": "k", "annotation_value": value}) for value in ("v", "", 1, None)),
    ("set_security_context", {}),
    *(
        ("set_security_context", {argument: number})
        for argument in ("run_as_user", "run_as_group")
        for number in (0, 1000, -1, 2**63, True, "0", 1.5)
    ),
    *(("set_security_context", {"run_as_non_root": flag}) for flag in (True, False, 1, "yes")),
]


@dsl.component
def work() -> None:
    pass


def result_of(function: str, arguments: dict[str, Any]) -> Any:
    task = work()
    try:
        getattr(kubernetes, function)(task, **arguments)
    except Exception as error:  # noqa: BLE001 - its class is what is compared
        return [cls.__name__ for cls in type(error).__mro__]
    return task.platform_config.get("kubernetes")


if __name__ == "__main__":
    results: list[Any] = []

    @dsl.pipeline
    def calls() -> None:
        results.extend(result_of(*call) for call in CALLS)

    print(json.dumps(results))
