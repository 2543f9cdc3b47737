"""Local runs of components and pipelines, as in `kfp.local`, and their history."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from standpipe.dsl.arguments import check_arguments
from standpipe.dsl.base_component import BaseComponent, set_backend
from standpipe.dsl.components import component_from_plan
from standpipe.dsl.registry import note_use, require_runs
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.errors import ArgumentError, NotInitialized, shorten_errors
from standpipe.faults import Delay, Fail, Kill
from standpipe.model.frozen import replace
from standpipe.runners.api import RUNNERS, LocalRunner, runner_class, suggestions
from standpipe.runs.option_checks import check_folder
from standpipe.runs.options import (
    RunOptions,
    check_option_names,
    find_state_folder,
    overrides_alone,
    takes_run_options,
    with_overrides,
)
from standpipe.support.forking import paused

if TYPE_CHECKING:
    from pathlib import Path

    from standpipe.history import Run
    from standpipe.model.plan import Plan
    from standpipe.model.types import Json

    # For type checkers and editors; `__getattr__` provides what is in the registry.
    from standpipe.runners.docker.api import DockerRunner as DockerRunner
    from standpipe.runners.fake import FakeRunner as FakeRunner
    from standpipe.runners.in_process.api import InProcessRunner as InProcessRunner
    from standpipe.runners.kubernetes.api import KubernetesRunner as KubernetesRunner
    from standpipe.runners.process.api import SubprocessRunner as SubprocessRunner
    from standpipe.runners.ray.api import RayRunner as RayRunner
    from standpipe.runs.dry_run import DryRun

_HOW_TO_INIT = (
    "Type this before the call:\n\n"
    "    from standpipe import local\n"
    f"    local.init(runner={suggestions()[0]})    # or {' or '.join(suggestions()[1:])}\n"
)


_defaults: RunOptions | None = None


@shorten_errors
@takes_run_options(RunOptions)
def init(*args: Any, **kwargs: Any) -> None:
    """Set the options of all later calls of components and pipelines, in all threads of this process.

    {options}

    Raises:
        ArgumentError: if the value of an option is invalid.
    """
    global _defaults
    previous, _defaults = _defaults, with_overrides(RunOptions(*args, **kwargs))
    if previous is not None and previous.runner is not _defaults.runner:
        previous.runner.retire(successor=_defaults.runner)


@shorten_errors
def run(
    target: BaseComponent | str | os.PathLike[str], arguments: Mapping[str, Any] | None = None, **options: Any
) -> PipelineTask:
    """Run a component, a pipeline, or a compiled file of one.

    Unlike a call of a component, it takes all options as arguments, so that threads, libraries and tests can run at
    the same time with different options.

    Args:
        target: a component or pipeline, of Standpipe or of the KFP SDK itself, or the path of a compiled YAML or JSON
            file.
        arguments: its inputs by name.
        **options: the options of `init`. Those that are not passed have the values that `init` set, or their defaults;
            `runner` has none.

    Returns:
        The finished task: `.output`, `.outputs`, and `.error` if it failed and `raise_on_error` is false.

    Raises:
        NotInitialized: if neither `init` nor `options` set a runner.
        AuthoringTypeError: if the arguments do not fit the inputs.
        SpecError: if the file is not a compiled pipeline.
        StorageError: if the pipeline root cannot be written.
        TaskFailed: if a task fails and `raise_on_error` is true.
        KeyboardInterrupt: after Ctrl-C, once everything has been stopped.
    """
    run_options, component, checked = _prepare(target, arguments, options)
    return _start(run_options, component, checked)


@shorten_errors
def dry_run(
    target: BaseComponent | str | os.PathLike[str], arguments: Mapping[str, Any] | None = None, **options: Any
) -> DryRun:
    """Return what `run` would do with the same arguments. Nothing is written or started."""
    run_options, component, checked = _prepare(target, arguments, options)
    with paused():
        from standpipe.runs import dry_run  # brings the engine, which authoring and compiling do without

    return dry_run.dry_run(run_options, component, checked)


def _prepare(
    target: object, arguments: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> tuple[RunOptions, BaseComponent, Mapping[str, Any]]:
    """Return the options of a run, its component, and the arguments, which are checked."""
    require_runs()
    run_options = _options_with(options)
    component = to_component(target)
    if arguments is not None and not isinstance(arguments, Mapping):
        raise ArgumentError(f"Invalid arguments={arguments!r}: expected a dict of inputs such as {{'rate': 0.1}}.")
    from standpipe.kfp_compat.sdk_artifacts import convert_artifacts  # of no use to authoring

    converted = {name: convert_artifacts(value) for name, value in (arguments or {}).items()}
    with _redact_messages(run_options, component):
        checked = check_arguments(component, (), converted, traced=False)
    return run_options, component, checked


@shorten_errors
def runs(pipeline_root: str | os.PathLike[str] | None = None) -> list[Run]:
    """Return all runs below a pipeline root, the newest first.

    Args:
        pipeline_root: the folder of the runs; by default the one that `init` set, or `./local_outputs`.

    Raises:
        StorageError: if the run store cannot be read.
    """
    from standpipe import history  # brings SQLite, which authoring and compiling do without

    return history.runs(_root(pipeline_root))


@shorten_errors
def get_run(run: str, pipeline_root: str | os.PathLike[str] | None = None) -> Run:
    """Return one run: its status, its tasks with their attempts, its artifacts and their lineage.

    Args:
        run: the id of the run, or a unique prefix of it; the name of a pipeline is its newest run, and `latest` is the
            newest of all, both apart from reruns.
        pipeline_root: the folder of the runs; by default the one that `init` set, or `./local_outputs`.

    Raises:
        NoSuchRun: if there is no such run, or several ids begin so.
        StorageError: if the run store cannot be read.
    """
    from standpipe import history  # brings SQLite, which authoring and compiling do without

    if not isinstance(run, str):
        raise ArgumentError(f"Invalid run id {run!r}: expected text such as 'latest'; local.runs() lists all ids.")
    return history.get_run(_root(pipeline_root), run)


@shorten_errors
def write_report(
    run: str | Run,
    path: str | os.PathLike[str] | None = None,
    *,
    junit: str | os.PathLike[str] | None = None,
    markdown: str | os.PathLike[str] | None = None,
    force: bool = False,
    pipeline_root: str | os.PathLike[str] | None = None,
) -> None:
    """Write reports of a run, as `standpipe report` does.

    Args:
        run: the run, or how `get_run` names it: an id, a unique prefix of one, the name of a pipeline, or `"latest"`.
        path: a file for the page of HTML, which has all that there is to see, and needs no server and no network.
        junit: a file for a test suite as JUnit XML, with a test for each task.
        markdown: a file for a summary, as CI systems show it.
        force: whether files are replaced that are not earlier reports.
        pipeline_root: the folder of the run, if `run` is an id; by default the one that `init` set.

    Raises:
        ArgumentError: if no file is named.
        NoSuchRun: if there is no such run.
        StorageError: if the run store cannot be read, or a file cannot be written.
    """
    from importlib import import_module  # `ui` is above this package, so it can only be imported by its name

    if path is None and junit is None and markdown is None:
        raise ArgumentError('Nothing to write: name a file, as in write_report(run, "run.html").')
    report = import_module("standpipe.ui.report")
    record = get_run(run, pipeline_root) if isinstance(run, str) else run
    files = ((report.HTML_REPORT, path), (report.JUNIT, junit), (report.MARKDOWN, markdown))
    report.write_reports(record, [(kind, file) for kind, file in files if file is not None], force=force)


@shorten_errors
def resume(
    run: str | Run,
    *,
    pipeline: BaseComponent | str | os.PathLike[str] | None = None,
    from_task: str | Sequence[str] | None = None,
    **options: Any,
) -> PipelineTask:
    """Resume a run that failed, was cancelled, or whose process was killed.

    Tasks that succeeded are not rerun, unless their component, their inputs or an upstream task has changed, or an
    output of theirs is damaged. A notice lists the tasks that are rerun, with the reasons.

    Args:
        run: the run, or how `get_run` names it: an id, a unique prefix of one, the name of a pipeline, or `"latest"`.
        pipeline: the component, pipeline or file to resume it with, as for `run`. By default the pipeline or component
            of the same name that this program defines; if there is none, the one that the run had.
        from_task: the name or the path (`"for-loop-1/2/train"`) of a task, or a list of them, to rerun with all
            tasks that depend on them.
        **options: the options of `init`, as for `run`.

    Returns:
        The finished task, as `run` returns it.

    Raises:
        NoSuchRun: if there is no such run in the pipeline root.
        NoSuchTask: if it does not have a task of `from_task`.
        ArgumentError: if its arguments no longer fit the pipeline.
        StorageError: if it is still running, or cannot be read or written.
        TaskFailed: if a task fails and `raise_on_error` is true.
        KeyboardInterrupt: after Ctrl-C, once everything has been stopped.
    """
    require_runs()
    run_id, run_options = _run_and_options(run, options)
    names = [from_task] if isinstance(from_task, str) else from_task or ()
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"Invalid from_task={from_task!r}: expected the name or path of a task, or a list of them.")
    component = None if pipeline is None else to_component(pipeline)
    with paused():
        from standpipe.runs import launch, resume  # bring the engine and the store, which authoring does without

    with launch.deferred_signals():
        return resume.resume(run_options, run_id, component, names)


@shorten_errors
def rerun_task(
    run: str | Run,
    task: str,
    *,
    pipeline: BaseComponent | str | os.PathLike[str] | None = None,
    debug: bool | int = False,
    arguments: Mapping[str, Any] | Callable[[BaseComponent], Mapping[str, Any]] = MappingProxyType({}),
    **options: Any,
) -> PipelineTask:
    """Rerun one task of a run, with the inputs that it had and its current code, as a new run.

    An input that the task did not have before gets the constant that the pipeline passes to it, or its default.

    Args:
        run: the run, or how `get_run` names it: an id, a unique prefix of one, the name of a pipeline, or `"latest"`.
        task: the name or the path (`"for-loop-1/2/train"`) of the task.
        pipeline: the pipeline or file with the task as it is now, or only its component. By default the pipeline of the
            run as this program defines it; if there is none, the one that the run had.
        debug: whether the task runs under Python's debugger, on this terminal. The debugger stops at the first line of
            the function, and at an exception that is not caught. With a port such as 5678, the task waits for an editor
            instead, which attaches there (it needs the extra `debug`). The DockerRunner supports neither.
        arguments: values for inputs, instead of those that the task had; or a function that returns them for the
            component of the task.
        **options: the options of `init`, as for `run`; for instance another `runner`.

    Returns:
        The finished task, as `run` returns it.

    Raises:
        NoSuchRun: if there is no such run in the pipeline root.
        NoSuchTask: if it does not have such a task, or several of that name.
        ArgumentError: if the task never started, or the pipeline as it is now has no such task, or an input of it has
            no value.
        UnsupportedError: if the runner does not support `debug`.
        TaskFailed: if the task fails and `raise_on_error` is true.
    """
    require_runs()
    run_id, run_options = _run_and_options(run, options)
    if not isinstance(task, str):
        raise ArgumentError(f"Invalid task {task!r}: expected its name or its path, such as 'for-loop-1/2/train'.")
    component = None if pipeline is None else to_component(pipeline)
    with paused():
        from standpipe.runs import launch, rerun  # bring the engine and the store, which authoring does without

    with launch.deferred_signals():
        return rerun.rerun_task(
            run_options,
            run_id,
            task,
            component,
            debug=debug,
            get_arguments=lambda component: arguments(component) if callable(arguments) else arguments,
        )


def _options_with(changes: Mapping[str, Any]) -> RunOptions:
    """Return the options that `init` set, or the flags of the command line, or their defaults, with these changes."""
    check_option_names(changes)
    if _defaults is not None:
        return replace(_defaults, **changes) if changes else _defaults
    changes = {**overrides_alone(), **changes}
    if "runner" not in changes:
        raise NotInitialized(f"No runner is set. {_HOW_TO_INIT}")
    return RunOptions(**changes)


def _root(pipeline_root: str | os.PathLike[str] | None) -> Path:
    from standpipe.support.paths import absolute_path  # brings pathlib, of no use to authoring

    if pipeline_root is not None:
        check_folder("pipeline_root", pipeline_root)
    else:
        pipeline_root = _defaults.state_folder if _defaults else find_state_folder(overrides_alone())
    return absolute_path("pipeline_root", pipeline_root)


def _run_and_options(run: str | Run, changes: Mapping[str, Any]) -> tuple[str, RunOptions]:
    """Return the id of a run, and the options with these changes; a `Run` sets its folder."""
    if isinstance(run, str):
        return run, _options_with(changes)
    if not hasattr(run, "folder"):
        raise ArgumentError(f"Invalid run {run!r}: expected its id, or an object of local.runs() or local.get_run().")
    folder = {"state_root": run.folder.parent}
    if not (_defaults and _defaults.artifact_root):
        folder["pipeline_root"] = run.folder.parent
    return run.id, _options_with({**folder, **changes})


def _redact_messages(options: RunOptions | None, component: BaseComponent) -> AbstractContextManager[None]:
    """Redact errors about the arguments of a component, which are checked before a run has a redactor."""
    if options is None or not options.secret_env:
        return nullcontext()
    from standpipe.support.secrets import make_redactor  # few scripts name secrets

    redactor = make_redactor(options.secret_env, component.plan, options.runner.variables, {}, lambda text: None)
    return redactor.redact_messages()


def to_component(target: object) -> BaseComponent:
    """Return what `run` takes as a component of Standpipe.

    Args:
        target: a component or pipeline, of Standpipe or of the KFP SDK itself, or the path of a compiled file.

    Raises:
        ArgumentError: if it is none of these.
        SpecError: if the file is not a compiled pipeline.
    """
    if isinstance(target, BaseComponent):
        return target
    from standpipe.kfp_compat.sdk_artifacts import is_sdk_object  # of no use to authoring

    if is_sdk_object(target) and hasattr(type(target), "pipeline_spec"):
        from standpipe.kfp_compat import sdk_components  # brings protobuf, which runs of Python components do without

        return component_from_plan(sdk_components.convert_component(target), getattr(target, "description", None) or "")
    component = component_from_plan(_read_plan(target))
    component.file = os.path.abspath(os.path.expanduser(str(target)))
    return component


def _read_plan(path: object) -> Plan:
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(
            f"Cannot run {path!r}: expected a component, a pipeline, or the path of a compiled file. A plain function "
            "becomes a component with @dsl.component, and a pipeline with @dsl.pipeline."
        )
    from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

    return ir.read(os.path.expanduser(path))


class _LocalBackend:
    """Runs and compiles components outside pipelines; see `standpipe.dsl.base_component.Backend`."""

    def redact_messages(self, component: BaseComponent) -> AbstractContextManager[None]:
        has_runner = _defaults is not None or "runner" in overrides_alone()
        return _redact_messages(_options_with({}) if has_runner else None, component)

    def run_component(self, component: BaseComponent, arguments: Mapping[str, Any]) -> PipelineTask:
        require_runs()
        if _defaults is None and "runner" not in overrides_alone():
            raise NotInitialized(f"Cannot run component {component.name!r}: no runner is set. {_HOW_TO_INIT}")
        return _start(_options_with({}), component, arguments)

    def compile_component(self, component: BaseComponent, path: str) -> None:
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        note_use()
        ir.write(component.compiled_plan, path, description=component.description)

    def pipeline_spec_json(self, component: BaseComponent) -> Json:
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        note_use()
        return json.loads(json.dumps(ir.emit(component.compiled_plan)))  # a tree: `emit` shares parts that are equal

    def pipeline_spec_message(self, component: BaseComponent) -> Any:
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        note_use()
        return ir.to_message(ir.emit(component.compiled_plan), "PipelineSpec")

    def platform_spec_message(self, component: BaseComponent) -> Any:
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        return ir.to_message(ir.emit_platforms(component.compiled_plan), "PlatformSpec")


set_backend(_LocalBackend())


def _start(options: RunOptions, component: BaseComponent, arguments: Mapping[str, Any]) -> PipelineTask:
    with paused():  # a forked child, which may run a pipeline, too, must not find a half of it
        from standpipe.runs import launch  # brings the engine, which authoring and compiling do without

    with launch.deferred_signals():
        return launch.start(options, component, arguments)


__all__ = [
    "Delay",
    "Fail",
    "Kill",
    "LocalRunner",
    "get_run",
    "init",
    "rerun_task",
    "resume",
    "run",
    "runs",
    "write_report",
    *RUNNERS,
]


if not TYPE_CHECKING:  # otherwise type checkers would take every name for one of this module

    def __getattr__(name: str) -> type[LocalRunner]:
        """Return a runner's class, imported when it is first used."""
        if name in RUNNERS:
            return runner_class(name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *RUNNERS})
