"""All rules, by their ids. A new rule is a line here, its function in `check.rules`, and a file in `explanations`.

`SP00`: programs. `SP01`: packages and images. `SP02`: values and limits. `SP03`: Kubernetes. `SP04`: what tasks pass
on. `SP05`: control flow. `SP06`: pods. `SP09`: comments. `SP1`: the rows of `model.cluster_differences`.
"""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.check import differences
from standpipe.check.rule import Problem, Rule, error, warning
from standpipe.check.rules import (
    code,
    control,
    dataflow,
    images,
    machine,
    objects,
    resources,
    values,
    volumes,
)
from standpipe.check.view import PipelineView


def _find_nothing(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield nothing: the checker finds what is wrong with comments, once all pipelines are checked."""
    return iter(())


_PROGRAMS = (
    error(
        "SP001",
        "undefined-name",
        "Import the name in the function, pass it as an input, or list what it stands for in `additional_funcs`.",
        code.find_undefined_names,
    ),
    error(
        "SP002",
        "own-module",
        "Build an image with the module, embed it with `embedded_artifact_path`, or move its code into the function.",
        code.find_own_modules,
    ),
    warning("SP003", "own-path", "Pass the data as an artifact, or import it from a bucket.", machine.find_own_paths),
    warning(
        "SP004",
        "local-host",
        "Use an address that the cluster reaches, and pass it as an input.",
        machine.find_local_hosts,
    ),
    error(
        "SP005",
        "host-variable",
        "Set it with `task.set_env_variable`, or from a secret or a config map with `kfp.kubernetes`.",
        machine.find_host_variables,
    ),
    error(
        "SP006",
        "file-of-another-task",
        "Pass the file as an artifact: `Output[Dataset]` there, `Input[Dataset]` here.",
        machine.find_shared_files,
    ),
    error("SP007", "new-syntax", "Use a newer image, or older syntax.", code.find_new_syntax),
    error(
        "SP008",
        "missing-standard-module",
        "Use an image whose Python has the module, or install a package that replaces it.",
        code.find_missing_standard_modules,
    ),
    error("SP009", "question", "Pass the answer as an input, and remove breakpoints.", code.find_questions),
)

_IMAGES = (
    warning(
        "SP010",
        "unpinned-package",
        "Pin a version: `packages_to_install=['pandas==2.2.3']`.",
        images.find_unpinned_packages,
    ),
    warning("SP011", "image-without-tag", "Name a tag that does not move, or a digest.", images.find_moving_images),
    error(
        "SP012",
        "image-without-python",
        "Use an image with Python and pip, such as `python:3.11`.",
        images.find_images_without_python,
    ),
    error(
        "SP013",
        "local-package",
        "Publish the package, name its URL or commit, or build an image with it.",
        images.find_local_packages,
    ),
    error("SP014", "local-index", "Use an index that the cluster reaches.", images.find_local_indexes),
    error("SP015", "local-registry", "Push the image to a registry that nodes reach.", images.find_local_registries),
    error(
        "SP016",
        "kfp-not-installed",
        "Leave out `install_kfp_package=False`, or use an image that has the `kfp` package.",
        images.find_missing_kfp,
    ),
    error("SP017", "old-python", "Use an image with Python 3.9 or newer.", images.find_old_pythons),
)

_VALUES = (
    error("SP020", "large-argument", "Pass the data as an artifact.", values.find_large_arguments),
    error(
        "SP021", "large-program", "Build an image with the code, or import the data in it.", values.find_large_programs
    ),
    error("SP022", "large-dag", "Group tasks into pipelines, and call these as tasks.", values.find_large_dags),
    error(
        "SP023", "large-workflow", "Divide the pipeline, and move code and data out of it.", values.find_large_workflows
    ),
    warning(
        "SP024",
        "hard-coded-secret",
        "Store it in a secret, and use `kubernetes.use_secret_as_env`.",
        values.find_secrets,
        has_secrets=True,
    ),
    error(
        "SP025",
        "invalid-task-name",
        "Use a shorter name of letters, digits and dashes.",
        values.find_invalid_task_names,
    ),
)

_KUBERNETES = (
    error("SP030", "request-over-limit", "Raise the limit, or lower the request.", resources.find_requests_over_limits),
    warning(
        "SP031",
        "accelerator-without-type",
        "Add the type: `task.set_accelerator_type('nvidia.com/gpu')`.",
        resources.find_accelerators_without_type,
    ),
    error(
        "SP032",
        "invalid-accelerator",
        "Use the name of the resource, such as `nvidia.com/gpu`, and a node selector for the model.",
        resources.find_invalid_accelerators,
    ),
    error(
        "SP033",
        "invalid-object-name",
        "Use lower-case letters, digits, '-' and '.', with a letter or digit at both ends.",
        objects.find_invalid_names,
    ),
    error(
        "SP034",
        "invalid-volume-name",
        "Use a name of at most 63 lower-case letters, digits and '-'.",
        objects.find_invalid_volumes,
    ),
    warning(
        "SP035",
        "incomplete-workspace",
        "Set `accessModes`, and a class or none, in `dsl.KubernetesWorkspaceConfig(pvcSpecPatch={...})`.",
        objects.find_incomplete_workspaces,
    ),
    error(
        "SP036",
        "invalid-access-mode",
        f"Use one of {', '.join(objects.ACCESS_MODES)}.",
        objects.find_invalid_access_modes,
    ),
    warning(
        "SP037",
        "exclusive-volume",
        "Use `ReadWriteMany`, or let the tasks wait for each other with `.after`.",
        volumes.find_shared_exclusive_volumes,
    ),
    error("SP038", "early-deletion", "Let it wait: `DeletePVC(...).after(task)`.", volumes.find_early_deletions),
    warning(
        "SP039",
        "lasting-volume",
        "Delete it with `DeletePVC(...).after(task)`, or give it a fixed name.",
        volumes.find_lasting_volumes,
    ),
)

_DATA = (
    warning(
        "SP040",
        "unfit-artifact",
        "Declare the same type on both sides, or `Artifact` where any type is meant.",
        dataflow.find_unfit_artifacts,
    ),
    warning(
        "SP041",
        "unused-output",
        "Remove the output, or use it.",
        dataflow.find_unused_outputs,
        is_optional=True,
    ),
    warning(
        "SP042",
        "unused-pipeline-input",
        "Remove the input, or pass it to a task.",
        dataflow.find_unused_pipeline_inputs,
    ),
    warning("SP043", "unwritten-output", "Write to its `path`, or remove it.", dataflow.find_unwritten_outputs),
    error(
        "SP044",
        "local-import",
        "Upload the data, and import its URI, such as `s3://bucket/key`.",
        dataflow.find_local_imports,
    ),
    error(
        "SP045",
        "unresolved-import",
        "Pass the URI as an input of a pipeline around the importer, or read it in a component.",
        dataflow.find_unresolved_imports,
    ),
    warning(
        "SP046",
        "unused-input",
        "Remove the input, or use it.",
        dataflow.find_unused_inputs,
        is_optional=True,
    ),
    error(
        "SP047",
        "unfit-oci-import",
        "Import it as `dsl.Model`, without `download_to_workspace`, or from a bucket.",
        dataflow.find_unfit_oci_imports,
    ),
)

_CONTROL = (
    error(
        "SP050",
        "exit-task-of-nothing",
        "Add `.after(task)`, or leave out `.ignore_upstream_failure()`.",
        control.find_hooks_without_upstream,
    ),
    error(
        "SP051",
        "dropped-exit-task",
        "Put the upstream task into a `dsl.ExitHandler` with this task as its exit task.",
        control.find_dropped_hooks,
    ),
    error(
        "SP052",
        "items-in-loop",
        "Pass the list through a task outside of the loop, and use its output in the loop.",
        control.find_items_in_bodies,
    ),
    error(
        "SP053",
        "part-in-loop",
        "Select the part in a component, and loop over its output.",
        control.find_selected_loop_inputs,
    ),
    warning("SP054", "ignored-retry", "Set the retries of its tasks.", control.find_ignored_retries),
)

_PODS = (
    error(
        "SP060",
        "invalid-label",
        "Use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends.",
        objects.find_invalid_labels,
    ),
    error(
        "SP061",
        "workspace-conflict",
        "Mount the volume at another path than `/kfp-workspace`.",
        objects.find_workspace_conflicts,
    ),
    error(
        "SP062",
        "unresolved-setting",
        "Pass the value to an input of the task as well, so that it reaches the DAG.",
        objects.find_unresolved_settings,
    ),
)

UNUSED_COMMENT = warning("SP091", "unused-noqa", "Remove the comment, or the rule from it.", _find_nothing)
UNKNOWN_CODE = warning(
    "SP092",
    "unknown-noqa",
    "Write the id of a rule, such as SP010: `standpipe check --list-rules` lists them.",
    _find_nothing,
)

#: All rules in the order of their ids.
RULES: tuple[Rule, ...] = (
    *_PROGRAMS,
    *_IMAGES,
    *_VALUES,
    *_KUBERNETES,
    *_DATA,
    *_CONTROL,
    *_PODS,
    UNUSED_COMMENT,
    UNKNOWN_CODE,
    *differences.RULES,
)

BY_ID = {rule.id: rule for rule in RULES}
