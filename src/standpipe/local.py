"""Running components and pipelines on this machine: the names and meanings of `kfp.local`, and more."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from standpipe.dsl.arguments import check_arguments
from standpipe.dsl.base_component import BaseComponent, set_backend
from standpipe.dsl.components import component_from_plan
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.errors import ArgumentError, NotInitialized
from standpipe.faults import Delay, Fail, Fault, Kill
from standpipe.inside import artifacts
from standpipe.inside.constants import WORKSPACE_MOUNT_PATH
from standpipe.session import MAX_PARALLEL, LocalRunner, Session, check_folder, notice

if TYPE_CHECKING:
    from pathlib import Path

    from standpipe.history import Run
    from standpipe.model.plan import Plan
    from standpipe.model.ports import Runner
    from standpipe.model.types import Json

_HOW_TO_INIT = (
    "Type this before the call:\n\n"
    "    from standpipe import local\n"
    "    local.init(runner=local.SubprocessRunner())    # or local.DockerRunner()\n"
)


class SubprocessRunner(LocalRunner):
    """Runs lightweight Python components in processes of this machine, each in a fresh one.

    Args:
        use_venv: whether each task runs in an environment that holds just its own packages, built once and shared by
            all tasks that name the same ones. Otherwise tasks run in the current environment, and what is missing
            there is installed into it.
        serialize_pip_installs: taken for the sake of scripts written for KFP; each environment is built once, alone.
        max_concurrent_pip_installs: the same.
    """

    def __init__(
        self, use_venv: bool = True, serialize_pip_installs: bool = True, max_concurrent_pip_installs: int = 1
    ) -> None:
        self.use_venv = use_venv

    @property
    def command_options(self) -> tuple[str, ...]:
        return () if self.use_venv else ("--no-venv",)

    def __repr__(self) -> str:
        return f"SubprocessRunner(use_venv={self.use_venv})"

    def _open(self) -> Runner:
        from pathlib import Path  # with the parts of this runner, of no use to authoring

        from standpipe.envs.venv import CurrentEnvironment, Venvs  # costly to import, and of use to this runner only
        from standpipe.runners.subprocess import SubprocessTasks

        return SubprocessTasks(Venvs(Path(cache_folder(), "envs")) if self.use_venv else CurrentEnvironment(), notice)

    def workspace_path(self, workspace: Path) -> str:
        return str(workspace)


class DockerRunner(LocalRunner):
    """Runs every kind of component in containers of a Docker engine, or of Podman by way of `DOCKER_HOST`.

    Args:
        max_concurrent_pip_installs: taken for the sake of scripts written for KFP; each image is made once, alone.
        **container_run_args: arguments of `containers.run` in the Docker SDK, for all containers of tasks.

    Raises:
        RunArgumentError: if there is no such argument, or it cannot be given.
    """

    def __init__(self, max_concurrent_pip_installs: int = 1, **container_run_args: Any) -> None:
        from standpipe.runners.docker_arguments import RunArguments  # few scripts use this runner

        RunArguments.check(container_run_args)
        self.container_run_args = container_run_args

    @property
    def command_options(self) -> tuple[str, ...]:
        return ("--runner", "docker")

    def __repr__(self) -> str:
        return f"DockerRunner({', '.join(f'{name}={value!r}' for name, value in self.container_run_args.items())})"

    def _open(self) -> Runner:
        from pathlib import Path  # with the parts of this runner, of no use to authoring

        from standpipe.envs.images import DerivedImages  # costly to import, and of use to this runner only
        from standpipe.runners.docker import DockerTasks
        from standpipe.runners.docker_engine import Engine

        engine = Engine()
        images = DerivedImages(engine, Path(cache_folder(), "images"))
        return DockerTasks(self.container_run_args, images, notice, engine)

    @property
    def variables(self) -> Mapping[str, str]:
        from standpipe.runners.docker_arguments import RunArguments  # few scripts use this runner

        given = RunArguments.check(self.container_run_args).environment
        return {name: value for name, value in given.items() if value is not None}

    def workspace_path(self, workspace: Path) -> str:
        return WORKSPACE_MOUNT_PATH


_session: Session | None = None


def init(
    runner: LocalRunner,
    pipeline_root: str | os.PathLike[str] = "./local_outputs",
    workspace_root: str | os.PathLike[str] | None = None,
    raise_on_error: bool = True,
    enable_caching: bool = False,
    cache_root: str | os.PathLike[str] | None = None,
    *,
    max_parallel: int = MAX_PARALLEL,
    quiet: bool = False,
    kubernetes: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    resources: str = "clamp",
    faults: Sequence[Fault] = (),
    secrets: Sequence[str] = (),
) -> None:
    """Says how components and pipelines run that are called from now on, in all threads of this process.

    Args:
        runner: where tasks run: `local.SubprocessRunner()` or `local.DockerRunner()`.
        pipeline_root: the folder for what runs leave behind, each in a folder of its own; `~` is the home folder.
        workspace_root: the folder that tasks see as their workspace. It is the user's own and is never removed. By
            default a pipeline with a workspace has one in the folder of its run.
        raise_on_error: whether a failed run raises; otherwise the task that the call returns says so.
        enable_caching: whether outputs may come from earlier runs of the same tasks with the same inputs.
        cache_root: the folder for what is remembered of them; by default the pipeline root.
        max_parallel: how many tasks run at once.
        quiet: shows neither progress nor what tasks print. Logs are kept all the same.
        kubernetes: what secrets, config maps and PVCs hold, for pipelines with settings of kfp-kubernetes: a YAML file,
            a folder, or a mapping like `{"secrets": {"db": {"password": "..."}}}`.
        resources: what becomes of tasks that ask for more CPU, memory or accelerators than this machine has: `"clamp"`
            gives them what there is, with a notice; `"strict"` lets them fail; `"ignore"` neither counts nor limits
            what any task uses.
        faults: what is to go wrong, to see what a pipeline does about it: `local.Fail`, `local.Delay` and `local.Kill`.
        secrets: names of environment variables, of this process or of tasks, whose values are in no log, message or
            run store. Those of secrets in `kubernetes` never are.

    Raises:
        ArgumentError: if an option makes no sense.
    """
    global _session
    _session = Session(
        runner,
        pipeline_root,
        workspace_root,
        raise_on_error,
        enable_caching,
        cache_root,
        max_parallel,
        quiet,
        kubernetes,
        resources,
        faults,
        secrets,
    )


def run(
    target: BaseComponent | str | os.PathLike[str], arguments: Mapping[str, Any] | None = None, **options: Any
) -> PipelineTask:
    """Runs a component, a pipeline, or a compiled file of one.

    Unlike a call, it says all that it needs, so that threads, libraries and tests can run side by side.

    Args:
        target: a component or pipeline, of Standpipe or of the KFP SDK itself, or the path of a YAML or JSON file that
            one was compiled to.
        arguments: its inputs by name.
        **options: those of `init`. What is left out is as `init` said, or as `init` has it by default; only `runner`
            must be given in one place or the other.

    Returns:
        A task that has run: `.output`, `.outputs`, and `.error` if it failed and `raise_on_error` is false.

    Raises:
        NotInitialized: if neither `init` nor `options` name a runner.
        AuthoringTypeError: if the arguments do not fit the inputs.
        SpecError: if the file is not a compiled pipeline.
        StorageError: if the pipeline root cannot be written.
        TaskFailed: if a task fails and `raise_on_error` is true.
        KeyboardInterrupt: after Ctrl-C, once everything has been stopped.
    """
    session = _session_with(options)
    component = _component(target)
    if arguments is not None and not isinstance(arguments, Mapping):
        raise ArgumentError(f"arguments={arguments!r} are no inputs by name: pass a dict such as {{'rate': 0.1}}.")
    own = {name: _own_artifacts(value) for name, value in (arguments or {}).items()}
    with _masking_errors(session, component):
        given = check_arguments(component, (), own, traced=False)
    return _run(session, component, given)


def runs(pipeline_root: str | os.PathLike[str] | None = None) -> list[Run]:
    """All runs below a pipeline root, the newest first.

    Args:
        pipeline_root: where the runs are; by default where `init` said, or `./local_outputs`.

    Raises:
        StorageError: if the run store cannot be read.
    """
    from standpipe import history  # brings SQLite, which authoring and compiling do without

    return history.runs(_root(pipeline_root))


def get_run(run: str, pipeline_root: str | os.PathLike[str] | None = None) -> Run:
    """One run: its status, its tasks with their attempts, its artifacts and where they come from.

    Args:
        run: its id, or as much of the beginning as no other id begins with; `latest` is the newest run.
        pipeline_root: where the run is; by default where `init` said, or `./local_outputs`.

    Raises:
        NoSuchRun: if there is no such run, or several.
        StorageError: if the run store cannot be read.
    """
    from standpipe import history  # brings SQLite, which authoring and compiling do without

    if not isinstance(run, str):
        raise ArgumentError(f"{run!r} is no id of a run: pass text such as 'latest', or what local.runs() shows.")
    return history.get_run(_root(pipeline_root), run)


def resume(
    run: str | Run,
    *,
    pipeline: BaseComponent | str | os.PathLike[str] | None = None,
    from_task: str | Sequence[str] | None = None,
    **options: Any,
) -> PipelineTask:
    """Lets a run go on that failed, was stopped, or whose process was killed.

    What succeeded is not done again, unless its component, its inputs or something before it has changed since, or what
    it made is damaged. A notice says what is done again, and why.

    Args:
        run: the run, or its id, or the beginning of that; `"latest"` is the one that began last.
        pipeline: what it goes on with, as for `run`. By default the pipeline or component of its name that this program
            defines; if there is none, what the run began with.
        from_task: the name or the path (`"loop/2/train"`) of a task, or of several, to be done again with all that
            depends on them.
        **options: those of `init`, as for `run`.

    Returns:
        What the first call would have returned.

    Raises:
        NoSuchRun: if there is no such run in the pipeline root.
        NoSuchTask: if it has no task of the name `from_task`.
        ArgumentError: if its arguments do not fit the pipeline any more.
        StorageError: if it is still going on, or cannot be read or written.
        TaskFailed: if a task fails and `raise_on_error` is true.
        KeyboardInterrupt: after Ctrl-C, once everything has been stopped.
    """
    run_id, session = _named(run, options)
    names = [from_task] if isinstance(from_task, str) else from_task or ()
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"from_task={from_task!r} names no tasks: pass the name or the path of one, or a list.")
    component = None if pipeline is None else _component(pipeline)
    from standpipe import again, running  # bring the engine and the store, which authoring and compiling do without

    with running.ending_as_asked():
        return again.resume(session, run_id, component, names)


def rerun_task(run: str | Run, task: str, *, debug: bool = False, **options: Any) -> PipelineTask:
    """Runs one task of a run again, with exactly the inputs that it had; it is a run of its own.

    Args:
        run: the run, or its id, or the beginning of that; `"latest"` is the one that began last.
        task: its name or its path (`"loop/2/train"`).
        debug: runs it under Python's debugger, on this terminal: it stops at the first line of the function, and where
            an exception ends it. Only the SubprocessRunner does that.
        **options: those of `init`, as for `run`; another `runner` than the run had, for instance.

    Raises:
        NoSuchRun: if there is no such run in the pipeline root.
        NoSuchTask: if it has no such task, or several of that name.
        ArgumentError: if the task never began.
        UnsupportedError: if the runner has no debugger.
        TaskFailed: if the task fails and `raise_on_error` is true.
    """
    run_id, session = _named(run, options)
    if not isinstance(task, str):
        raise ArgumentError(f"{task!r} is no task: pass its name or its path, such as 'loop/2/train'.")
    from standpipe import again, running  # bring the engine and the store, which authoring and compiling do without

    with running.ending_as_asked():
        return again.rerun_task(session, run_id, task, debug=debug)


def cache_folder() -> str:
    """Where environments are kept between runs: `STANDPIPE_CACHE`, or `standpipe` in the user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    own = os.environ.get("STANDPIPE_CACHE") or os.path.join(caches, "standpipe")
    return os.path.abspath(os.path.expanduser(own))


def _session_with(options: Mapping[str, Any]) -> Session:
    unknown = sorted(options.keys() - Session.__dataclass_fields__.keys())
    if unknown:
        raise ArgumentError(f"Runs have no option {unknown[0]!r}: they take {', '.join(Session.__dataclass_fields__)}.")
    if _session is not None:
        return replace(_session, **options) if options else _session
    if "runner" not in options:
        raise NotInitialized(f"Nothing says where to run it. {_HOW_TO_INIT}")
    return Session(**options)


def _root(given: str | os.PathLike[str] | None) -> Path:
    from pathlib import Path  # of no use to authoring

    default = _session.pipeline_root if _session else Session.pipeline_root
    if given is not None:
        check_folder("pipeline_root", given)
    return Path(default if given is None else given).expanduser().absolute()


def _named(run: str | Run, options: Mapping[str, Any]) -> tuple[str, Session]:
    """The id of a run, and the options: those of `init` with these, in the pipeline root that the run was found in."""
    if isinstance(run, str):
        return run, _session_with(options)
    if not hasattr(run, "folder"):
        raise ArgumentError(f"{run!r} is no run: pass its id, or what local.runs() and local.get_run() give.")
    return run.id, _session_with({"pipeline_root": run.folder.parent, **options})


def _masking_errors(session: Session | None, component: BaseComponent) -> AbstractContextManager[None]:
    """Takes secrets out of errors about a component's arguments, which come before those of a run."""
    if session is None or not session.secrets:
        return nullcontext()
    from standpipe.secrets import redactor_for  # few scripts name secrets

    return redactor_for(session.secrets, component.plan, session.runner.variables, {}, lambda notice: None).errors()


def _component(target: object) -> BaseComponent:
    if isinstance(target, BaseComponent):
        return target
    if _is_of_the_sdk(target) and hasattr(type(target), "pipeline_spec"):
        from standpipe.ir import kfp_objects  # brings protobuf, which runs of Python components do without

        return component_from_plan(kfp_objects.plan_of(target), getattr(target, "description", None) or "")
    return component_from_plan(_read(target))


def _is_of_the_sdk(value: object) -> bool:
    """Whether the value is an object of the real KFP SDK; our own classes are in no module of that name."""
    return any(cls.__module__.partition(".")[0] == "kfp" for cls in type(value).__mro__)


def _own_artifacts(value: Any) -> Any:
    """The argument with artifacts of ours in place of the SDK's, of the same type and content."""
    if isinstance(value, (list, tuple)):
        return [_own_artifacts(item) for item in value] if any(map(_is_of_the_sdk, value)) else value
    if not _is_of_the_sdk(value) or not hasattr(value, "schema_title"):
        return value
    schema = {"schema_title": value.schema_title, "schema_version": value.schema_version}
    known = artifacts.BY_TITLE.get(value.schema_title)
    own = (known or type(type(value).__name__, (artifacts.Artifact,), schema))(
        name=value.name, uri=value.uri, metadata=dict(value.metadata)
    )
    own.custom_path = getattr(value, "custom_path", None) or ""  # older SDKs have none
    return own


def _read(path: object) -> Plan:
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(
            f"{path!r} cannot be run: pass a component, a pipeline, or the path of a compiled file. "
            "A plain function becomes a component with @dsl.component, and a pipeline with @dsl.pipeline."
        )
    from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

    return ir.read(os.path.expanduser(path))


class _LocalBackend:
    """Runs and compiles components outside pipelines; see `standpipe.dsl.base_component.Backend`."""

    def redact_errors(self, component: BaseComponent) -> AbstractContextManager[None]:
        return _masking_errors(_session, component)

    def run_component(self, component: BaseComponent, arguments: Mapping[str, Any]) -> PipelineTask:
        if _session is None:
            raise NotInitialized(
                f"Component {component.name!r} was called, and nothing says where to run it. {_HOW_TO_INIT}"
            )
        return _run(_session, component, arguments)

    def compile_component(self, component: BaseComponent, path: str) -> None:
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        ir.write(component.plan, path, description=component.description)

    def pipeline_spec_json(self, component: BaseComponent) -> Json:
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        return ir.emit(component.plan)

    def pipeline_spec_message(self, component: BaseComponent) -> Any:
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        return ir.message(ir.emit(component.plan), "PipelineSpec")

    def platform_spec_message(self, component: BaseComponent) -> Any:
        from standpipe import ir  # brings protobuf and YAML, which runs of Python components do without

        return ir.message(ir.emit_platforms(component.plan), "PlatformSpec")


set_backend(_LocalBackend())


def _run(session: Session, component: BaseComponent, arguments: Mapping[str, Any]) -> PipelineTask:
    from standpipe import running  # brings the engine, which authoring and compiling do without

    with running.ending_as_asked():
        return running.run(session, component, arguments)


__all__ = [
    "Delay",
    "DockerRunner",
    "Fail",
    "Kill",
    "SubprocessRunner",
    "get_run",
    "init",
    "rerun_task",
    "resume",
    "run",
    "runs",
]
