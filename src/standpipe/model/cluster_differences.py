"""The rules `SP1…`: where a pipeline that runs well here runs worse on a cluster.

A pipeline behaves here as on a cluster. Where the KFP backend fails or does something that its documentation does not
say, Standpipe does the sensible thing, and one of these rules says so: what happens there, what happens here, and what
to write so that both agree. `docs/reference/where-a-cluster-differs.md` is made of them, and `standpipe check` reports
them as findings.

Each decision that differs is a function with the decorator `decides`, so that `grep SP104` finds it. To add a row: add
a constant with the next number, decorate the function that decides, add the test `test_sp<number>_…` to
`tests/test_cluster_differences.py`, and run `scripts/document-differences`.

All rules were read, not run, in the sources of the backend: `backend/src/v2` of kubeflow/pipelines at `VERSION`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from standpipe.model.findings import Finding
from standpipe.model.frozen import frozen

#: The commit of kubeflow/pipelines that the sources are those of, of August 2026, after the release 2.17.0.
VERSION = "7b70c7b95f"

_Function = TypeVar("_Function", bound=Callable[..., Any])


@frozen
class ClusterDifference:
    """One difference between a cluster and this machine.

    Attributes:
        id: its stable id. Ids are an interface, as those of `model.validation.RULES`.
        title: the case, as a phrase.
        on_cluster: what happens on a cluster, as a sentence.
        here: what happens here, as a sentence.
        since: the first release of the backend that behaves so.
        source: the file that shows it, below `backend/src/v2`.
        fix: what to write so that both agree, as a sentence.
    """

    id: str
    title: str
    on_cluster: str
    here: str
    since: str
    source: str
    fix: str

    def finding(self, path: str) -> Finding:
        """Return the finding for a place in a pipeline.

        Args:
            path: the path of the field of the compiled file, as `Finding.path`.
        """
        return Finding(self.id, path, f"{self.title} (on a cluster: {self.on_cluster})", self.fix)


#: The functions that decide otherwise than a cluster, by the ids of rules. Modules add theirs when they are imported.
DECISIONS: dict[str, list[str]] = {}


def decides(*rules: ClusterDifference) -> Callable[[_Function], _Function]:
    """Mark a function as the one that decides otherwise than a cluster, and return it unchanged."""

    def mark(function: _Function) -> _Function:
        for rule in rules:
            DECISIONS.setdefault(rule.id, []).append(f"{function.__module__}.{function.__qualname__}")
        return function

    return mark


# --- loops ------------------------------------------------------------------------------------------------------------

SP101 = ClusterDifference(
    "SP101",
    "`dsl.Collected` of a loop without items",
    "The driver of the consumer fails, because a loop of zero iterations is taken for a pipeline.",
    "The consumer gets an empty list.",
    since="2.14.0",
    source="driver/resolve.go, resolveUpstreamParameters",
    fix="Put the loop and its consumer into a `dsl.If` on the number of items.",
)
SP102 = ClusterDifference(
    "SP102",
    "`dsl.Collected` of a task that some iterations skip",
    "The driver of the consumer crashes: it reads a task that the iteration does not have.",
    "These iterations are left out of the list.",
    since="2.14.0",
    source="driver/resolve.go, CollectInputs",
    fix="Let every iteration run the task, and let the task return an empty value instead.",
)
SP107 = ClusterDifference(
    "SP107",
    'loop items that are declared as text, and are the JSON of something else than a list, such as `{"a": 1}` or `5`',
    "The loop has no iterations, and succeeds.",
    "The loop fails, and names the value.",
    since="2.0.0",
    source="driver/util.go, getItems",
    fix="Declare the items as a list.",
)
SP113 = ClusterDifference(
    "SP113",
    "`dsl.ParallelFor` over a list of artifacts",
    "The pipeline cannot be run: artifact iterators are not implemented.",
    "The loop runs.",
    since="2.0.0",
    source="compiler/argocompiler/dag.go",
    fix="Loop over their URIs, and import each of them with `dsl.importer`.",
)
SP120 = ClusterDifference(
    "SP120",
    "`dsl.Collected` of nested loops for an input with the annotation `List[List[...]]`",
    "The input gets one flat list, breadth first.",
    "The input of a Python component gets one list for each iteration of the outer loop.",
    since="2.14.0",
    source="driver/resolve.go, CollectInputs",
    fix="Annotate the input as a flat list.",
)

# --- the end of tasks -------------------------------------------------------------------------------------------------

SP103 = ClusterDifference(
    "SP103",
    "an exit task that fails, or any task with `.ignore_upstream_failure()`",
    "The run still succeeds, as these tasks are exit hooks of Argo (kubeflow/pipelines#11470).",
    "The run fails.",
    since="2.4.0",
    source="compiler/argocompiler/dag.go",
    fix="Do in an ordinary task what must fail the run.",
)
SP104 = ClusterDifference(
    "SP104",
    "the `state` of a `dsl.PipelineTaskFinalStatus`",
    "It is `COMPLETE` after success, or `CACHED`, never `SUCCEEDED`; there is no error message.",
    "It is `SUCCEEDED`, `FAILED`, `SKIPPED` or `CANCELLED`, as on Vertex AI, and there is an error message.",
    since="2.14.0",
    source="driver/resolve.go, resolveInputParameter",
    fix="Test for `FAILED`, or for one of `SUCCEEDED`, `COMPLETE` and `CACHED`.",
)
SP110 = ClusterDifference(
    "SP110",
    "`.ignore_upstream_failure()` on a task with two upstream tasks",
    "It becomes an exit hook of each of them, so it starts twice, and before the other one has ended.",
    "It starts once, after both.",
    since="2.4.0",
    source="compiler/argocompiler/dag.go",
    fix="Put both upstream tasks into a `dsl.ExitHandler` with this task as its exit task.",
)
SP111 = ClusterDifference(
    "SP111",
    "two tasks with `.ignore_upstream_failure()` after the same task",
    "Only the last one, by name, is run, because a task has one exit hook.",
    "Both run.",
    since="2.4.0",
    source="compiler/argocompiler/dag.go",
    fix="Make a pipeline of the two, and use that as the only one.",
)
SP112 = ClusterDifference(
    "SP112",
    "a task after an exit task, or after a task with `.ignore_upstream_failure()`",
    "The workflow depends on a task that is not in it, as that one is an exit hook.",
    "It runs after that task.",
    since="2.4.0",
    source="compiler/argocompiler/dag.go",
    fix="Make a pipeline of the two, and use that as the exit task.",
)
SP114 = ClusterDifference(
    "SP114",
    "an input from an upstream task that failed or was skipped, with `.ignore_upstream_failure()`",
    "The driver of the task fails, except for a text input, which is empty if the upstream task had started.",
    "The input has its default, or is null if it is optional.",
    since="2.4.0",
    source="driver/resolve.go, resolveUpstreamParameters and resolveInputs",
    fix="Take no input from that task: read a file in the workspace, or use `dsl.PipelineTaskFinalStatus`.",
)
SP115 = ClusterDifference(
    "SP115",
    "an output of the pipeline itself from a task that is skipped because an upstream task was",
    "Nothing reads the outputs of the outermost pipeline, so the run succeeds without it.",
    "The run fails, and names the output and the task.",
    since="2.0.0",
    source="driver/root_dag.go",
    fix="Return `dsl.OneOf` of all branches.",
)

# --- values -----------------------------------------------------------------------------------------------------------

SP105 = ClusterDifference(
    "SP105",
    "`dsl.PIPELINE_TASK_ID_PLACEHOLDER` in two tasks of one pipeline",
    "Both have the same value: the id of the execution of the pipeline around them.",
    "Each task, and each iteration, has an id of its own.",
    since="2.5.0",
    source="driver/resolve.go, resolveInputParameter",
    fix="Add `dsl.PIPELINE_TASK_NAME_PLACEHOLDER` as another input.",
)
SP106 = ClusterDifference(
    "SP106",
    "a placeholder of the run or the task within other text, or in the command of a container component",
    "It stays as it is, except for `{{$.workspace_path}}` within an argument.",
    "It is replaced.",
    since="2.5.0",
    source="driver/resolve.go, resolveInputParameter; component/launcher_v2.go, getPlaceholders",
    fix="Pass the placeholder alone as an argument, and join the text in the component.",
)
SP108 = ClusterDifference(
    "SP108",
    "a placeholder in the first word of the command of a container component, other than that of an input parameter",
    "It stays as it is, except for `{{$}}`.",
    "It is replaced.",
    since="2.0.0",
    source="component/launcher_v2.go, compileCmdAndArgs; driver/util.go, resolveContainerArgs",
    fix='Begin the command with a fixed program, such as `["env", ...]`.',
)
SP109 = ClusterDifference(
    "SP109",
    'an f-string with an output or an input (`f"{task.output}.csv"`) whose value has quotes, backslashes or newlines',
    "The value is inserted into the JSON of the executor input, which is no longer valid, so the task fails.",
    "The value is data.",
    since="2.0.0",
    source="component/launcher_v2.go, compileCmdAndArgs",
    fix="Pass the value alone as an argument, and join the text in the component.",
)
SP117 = ClusterDifference(
    "SP117",
    "a fractional number, such as 2.7, for an `int` input",
    "It is accepted, and the function gets 2.7.",
    "The task fails, and both types are named.",
    since="2.0.0",
    source="driver/resolve.go, resolveInputs",
    fix="Declare the input as `float`, or round the number.",
)
SP118 = ClusterDifference(
    "SP118",
    'the metadata of an artifact in the command of a container component (`data.metadata["key"]`)',
    "The placeholder stays as it is.",
    "It is replaced by the value.",
    since="2.0.0",
    source="component/launcher_v2.go, getPlaceholders",
    fix="Pass the value as a parameter.",
)
SP119 = ClusterDifference(
    "SP119",
    "a value that contains the text of a placeholder, in the command of a container component",
    "It may be replaced as well, depending on the order in which the launcher visits the placeholders.",
    "It is data, and stays as it is.",
    since="2.0.0",
    source="component/launcher_v2.go, compileCmdAndArgs",
    fix="Pass such values in files.",
)
SP121 = ClusterDifference(
    "SP121",
    'a text with quotes or backslashes in a condition (`dsl.If(task.output == "it\'s")`)',
    "The SDK does not escape it, so an apostrophe is a syntax error of CEL, and a backslash begins an escape sequence.",
    "The text is compared as it was written.",
    since="2.0.0",
    source="expression/expression.go, Condition",
    fix="Compare in a component that returns a boolean.",
)
SP122 = ClusterDifference(
    "SP122",
    "`{{$.pipeline_root}}`",
    "It stays as it is, wherever it is written.",
    "It is replaced by the pipeline root.",
    since="2.5.0",
    source="driver/resolve.go, resolveInputParameter",
    fix="Use the `uri` of an output artifact.",
)
SP126 = ClusterDifference(
    "SP126",
    "a number that a condition compares with a bool (`dsl.If(flag == 1)`), or a fraction with text (`text == 1.0`)",
    "The SDK compiles 1 as `false` and 0 as `true`, and 1.0 as the text `1.0`, whereas the number 1.0 is the text `1`.",
    "1 is true, 0 is false, and 1.0 is compared as `1`.",
    since="2.0.0",
    source="expression/expression.go, Condition",
    fix="Compare with `True`, `False` or text.",
)

SP123 = ClusterDifference(
    "SP123",
    "`nan` or `inf` in the file of a container's `float` output",
    "The output is read, but the driver of a task that takes it fails, as it is not JSON.",
    "The task that wrote it fails.",
    since="2.0.0",
    source="metadata/converter.go, TextToPbValue",
    fix="Write a finite number, or declare the output as `str`.",
)
SP124 = ClusterDifference(
    "SP124",
    "a placeholder of the run or the task in a default value, in an argument of the run, or in an item of a loop",
    "It stays as it is: only constant arguments of tasks are replaced.",
    "It is replaced in what the author wrote, and never in values of other tasks.",
    since="2.5.0",
    source="driver/resolve.go, resolveInputParameter",
    fix="Pass the placeholder alone, as an argument of the task.",
)
SP125 = ClusterDifference(
    "SP125",
    "a whole number above 2\u2075\u00b3",
    "It is rounded, as protobuf has only doubles in lists, dicts and numbers.",
    "All digits are kept.",
    since="2.0.0",
    source="metadata/converter.go, TextToPbValue",
    fix="Pass such numbers, ids for example, as text.",
)
SP127 = ClusterDifference(
    "SP127",
    "a container that writes to the payload of an input artifact",
    "It changes its own copy, which ends with it.",
    "The payload is read-only: writing fails with `Read-only file system`, as other tasks and the cache read it.",
    since="2.0.0",
    source="component/launcher_v2.go, downloadArtifacts",
    fix="Copy the payload first, and write to the copy or to an output.",
)
SP128 = ClusterDifference(
    "SP128",
    "a result that depends on the number of threads, such as the last digits of a sum in BLAS",
    "Most libraries start a thread for each core of the node, whatever the CPU limit of the task.",
    "Tasks that run at the same time share the cores, and a task has at most as many threads as its CPU limit.",
    since="2.0.0",
    source="driver/driver.go, initPodSpecPatch",
    fix="Set the number: `task.set_env_variable('OMP_NUM_THREADS', '2')`.",
)

# --- the cache --------------------------------------------------------------------------------------------------------

SP116 = ClusterDifference(
    "SP116",
    "environment variables, mounted files other than PVCs, and contents of input artifacts of a cached task",
    "The cache key does not contain them: it has the names of input artifacts, so a changed input can be a cache hit.",
    "They are part of the cache key.",
    since="2.0.0",
    source="cacheutils/cache.go, GenerateCacheKey",
    fix="Pass what the result depends on as a parameter, or call `.set_caching_options(False)`.",
)

#: All rules by id, in the order of their ids.
RULES = {rule.id: rule for _, rule in sorted(globals().items()) if isinstance(rule, ClusterDifference)}
