"""The options of a run, each declared once, in `RunOptions`.

The signature and the documentation of `local.init`, the flags of the command line, the commands that messages suggest,
and the table in the documentation all follow from it. A new option is one field here, and the code that acts on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any, NamedTuple, ParamSpec

from standpipe.errors import ArgumentError
from standpipe.faults import Fault
from standpipe.model.frozen import MISSING, declared_fields, field, frozen, replace
from standpipe.model.locations import is_remote
from standpipe.runners.api import LocalRunner
from standpipe.runs.option_checks import (
    RESOURCE_POLICIES,
    check_count,
    check_faults,
    check_folder,
    check_kubernetes,
    check_names,
    check_optional_folder,
    check_policy,
    check_root,
    check_runner,
    check_size,
    check_source_root,
    check_tracker,
    no_check,
)
from standpipe.support.umask import GROUP, PRIVATE

P = ParamSpec("P")

# --- what an option is ------------------------------------------------------------------------------------------------


class Flag(NamedTuple):
    """How the command line takes an option.

    `names` are those of the flag; a flag of an option that is false by default takes no value. `metavar` stands for
    the value in the help. `choices` are the only values, if there are any. A `repeated` flag adds a value each time.
    `parse` makes the value of the text. Commands that messages suggest repeat the flag if it is `suggested`. `help`
    is the help of the flag, where that of the option does not describe it: a phrase that begins with a small letter.
    """

    names: tuple[str, ...]
    metavar: str = ""
    choices: tuple[str, ...] = ()
    repeated: bool = False
    parse: Callable[[str], Any] = str
    suggested: bool = True
    help: str = ""


class Option(NamedTuple):
    """An option of a run as the command line and the documentation see it.

    `type` is its annotation, `default` is `MISSING` where a value is required, and `page` is the path, in
    `docs`, of the page that says more. `check` raises an `ArgumentError` for a value that the option cannot have
    (`runs.option_checks`).
    """

    name: str
    type: str
    default: Any
    help: str
    check: Callable[[str, Any], None]
    flag: Flag | None
    page: str


def _declare(
    help: str,  # noqa: A002 - as argparse calls it
    check: Callable[[str, Any], None] = no_check,
    *,
    flag: Flag | None = None,
    page: str = "",
) -> dict[str, Any]:
    """Return the metadata of a field of `RunOptions`."""
    return {"help": help, "check": check, "flag": flag, "page": page}


# --- the options ------------------------------------------------------------------------------------------------------

_FOLDER = "FOLDER"
_LOCAL_ROOT = "./local_outputs"


@frozen
class RunOptions:
    """The options of a run; each field is one, with its type, default, help, check and flag."""

    runner: LocalRunner = field(
        metadata=_declare(
            "Where tasks run: `local.SubprocessRunner()`, `local.DockerRunner()` or another runner of `local`.",
            check_runner,
            page="how-to/runners.md",
        )
    )
    pipeline_root: str | os.PathLike[str] = field(
        default=_LOCAL_ROOT,
        metadata=_declare(
            "The folder in which each run has a folder of its own; `~` is the home folder. A URI such as "
            "`s3://bucket/prefix` puts the payloads of artifacts there, and all else into `state_root`.",
            check_root,
            flag=Flag(("--root", "--pipeline-root"), _FOLDER, suggested=False),  # commands name it by themselves
        ),
    )
    workspace_root: str | os.PathLike[str] | None = field(
        default=None,
        metadata=_declare(
            "The folder that tasks see as their workspace. It is never removed. By default a pipeline with a workspace "
            "has one in the folder of its run.",
            check_optional_folder,
            flag=Flag(("--workspace-root",), _FOLDER),
        ),
    )
    raise_on_error: bool = field(
        default=True, metadata=_declare("Whether a failed run raises; otherwise the returned task holds the error.")
    )
    enable_caching: bool = field(
        default=False,
        metadata=_declare(
            "Whether outputs may come from earlier runs of the same tasks with the same inputs.",
            flag=Flag(("--cache",), help="take outputs from earlier runs of the same tasks with the same inputs"),
            page="how-to/caching.md",
        ),
    )
    cache_root: str | os.PathLike[str] | None = field(
        default=None,
        metadata=_declare(
            "The folder of the cache; by default the pipeline root.",
            check_optional_folder,
            flag=Flag(("--cache-root",), _FOLDER),
            page="how-to/caching.md",
        ),
    )
    max_parallel: int = field(
        default=16,  # independent of the number of cores: most tasks wait for I/O
        kw_only=True,
        metadata=_declare(
            "The number of tasks that may run at the same time.",
            check_count,
            flag=Flag(("--max-parallel",), "NUMBER", parse=int, suggested=False),
        ),
    )
    quiet: bool = field(
        default=False,
        kw_only=True,
        metadata=_declare(
            "Whether to show neither progress nor what tasks print. Logs are kept all the same.",
            flag=Flag(
                ("--quiet",),
                suggested=False,
                help="show neither progress nor what tasks print; logs are kept all the same",
            ),
        ),
    )
    kubernetes: str | os.PathLike[str] | Mapping[str, Any] | None = field(
        default=None,
        kw_only=True,
        metadata=_declare(
            "The contents of secrets, config maps and PVCs, for pipelines with settings of kfp-kubernetes: a YAML "
            'file, a folder, or a mapping such as `{"secrets": {"db": {"password": "..."}}}`.',
            check_kubernetes,
            flag=Flag(
                ("--kubernetes",),
                "PATH",
                help="a YAML file or a folder with the contents of secrets, config maps and PVCs, for pipelines with "
                "settings of kfp-kubernetes",
            ),
            page="how-to/kubernetes.md",
        ),
    )
    resource_policy: str = field(
        default="clamp",
        kw_only=True,
        metadata=_declare(
            'For tasks that ask for more CPU, memory or accelerators than this machine has: `"clamp"` gives them what '
            'there is, with a notice; `"strict"` fails them; `"ignore"` neither counts nor limits what any task uses.',
            check_policy,
            flag=Flag(("--resource-policy",), choices=RESOURCE_POLICIES),
            page="how-to/resources.md",
        ),
    )
    faults: Sequence[Fault] = field(
        default=(),
        kw_only=True,
        metadata=_declare(
            "The faults to inject: `local.Fail`, `local.Delay` and `local.Kill`.",
            check_faults,
            page="how-to/faults.md",
        ),
    )
    secret_env: Sequence[str] = field(
        default=(),
        kw_only=True,
        metadata=_declare(
            "The names of environment variables, of this process or of tasks, whose values are redacted in logs, "
            "messages and the run store. Those of secrets in `kubernetes` always are.",
            check_names,
            flag=Flag(
                ("--secret-env",),
                "NAME",
                repeated=True,
                help="the name of an environment variable, of this process or of tasks, whose value is redacted in "
                "logs, messages and the run store",
            ),
            page="how-to/secrets.md",
        ),
    )
    group_access: bool = field(
        default=False,
        kw_only=True,
        metadata=_declare(
            "Whether the group of a file may read and write what runs leave, as its owner may. By default only the "
            "user who runs a pipeline may (modes 0600 and 0700).",
            flag=Flag(("--group-access",), help="let the group of the files read and write what the run leaves"),
            page="how-to/secrets.md",
        ),
    )
    source_root: str | os.PathLike[str] | None = field(
        default=None,
        kw_only=True,
        metadata=_declare(
            "The folder of your own modules: tasks get those that their components import. By default the folder of "
            "the script, or that of the notebook.",
            check_source_root,
            flag=Flag(("--source-root",), _FOLDER, help="the folder of your own modules, which tasks may import"),
            page="how-to/own-modules.md",
        ),
    )
    ui: bool = field(
        default=False,
        kw_only=True,
        metadata=_declare(
            "Whether a run prints the address of its page in the web UI, which is started if it is not running. The UI "
            "is a process of its own that outlives the run, and ends when nobody uses it.",
            flag=Flag(("--ui",), suggested=False, help="print the address of the run's page in the web UI"),
            page="how-to/ui.md",
        ),
    )
    mlflow: str | None = field(
        default=None,
        kw_only=True,
        metadata=_declare(
            "The URL of an MLflow server that records runs, with their tasks, parameters and metrics. It never fails a "
            "run.",
            check_tracker,
            flag=Flag(("--mlflow",), "URL", help="the MLflow server that records the run"),
            page="how-to/mlflow.md",
        ),
    )
    state_root: str | os.PathLike[str] = field(
        default=_LOCAL_ROOT,
        kw_only=True,
        metadata=_declare(
            "The folder of runs whose `pipeline_root` is a URI: the run store, logs, and the outputs that are not "
            "artifacts.",
            check_folder,
            flag=Flag(("--state-root",), _FOLDER, suggested=False),
            page="how-to/artifact-stores.md",
        ),
    )
    payload_cache_size: str = field(
        default="20Gi",
        kw_only=True,
        metadata=_declare(
            "The most bytes of payloads of object stores that this machine keeps for the next tasks, such as `500Mi` "
            "or `1Ti`. Those that tasks are using are kept in any case.",
            check_size,
            flag=Flag(
                ("--payload-cache-size",),
                "SIZE",
                help="the most bytes of payloads of object stores that this machine keeps, such as 500Mi",
            ),
            page="how-to/artifact-stores.md",
        ),
    )

    def __post_init__(self) -> None:
        for option in all_options():
            option.check(option.name, getattr(self, option.name))

    @property
    def artifact_root(self) -> str:
        """Return the URI below which payloads of artifacts are; empty if they are on this machine."""
        root = os.fspath(self.pipeline_root)
        return root.rstrip("/") if is_remote(root) else ""

    @property
    def state_folder(self) -> str | os.PathLike[str]:
        """Return the folder of the run store and the runs."""
        return find_state_folder({"pipeline_root": self.pipeline_root, "state_root": self.state_root})

    @property
    def umask(self) -> int:
        """Return the permissions that what a run leaves does not get."""
        return GROUP if self.group_access else PRIVATE

    @property
    def trackers(self) -> Mapping[str, str]:
        """Return the server of each tracker of the run, by the option that names it."""
        from standpipe.trackers.api import TRACKERS, find_servers  # not needed before there is a run

        return find_servers({name: getattr(self, name) for name in TRACKERS})

    @property
    def command_options(self) -> tuple[str, ...]:
        """Return the flags of `standpipe resume` and `rerun` that set the same options, where flags for them exist."""
        flags = [*self.runner.command_options]
        for option in all_options():
            value = getattr(self, option.name)
            if option.flag and option.flag.suggested and value != option.default and not isinstance(value, Mapping):
                flags += _as_flags(option.flag, value)
        return tuple(flags)


def find_state_folder(options: Mapping[str, Any]) -> str | os.PathLike[str]:
    """Return the folder of the run store and the runs, by the options that are passed."""
    root: str | os.PathLike[str] = options.get("pipeline_root", _LOCAL_ROOT)
    return options.get("state_root", _LOCAL_ROOT) if is_remote(os.fspath(root)) else root


def all_options() -> Iterator[Option]:
    """Yield the options of a run, in the order of the parameters of `local.init`."""
    for name, each in declared_fields(RunOptions).items():
        yield Option(name, str(each.type), each.default, **each.metadata)


def _as_flags(flag: Flag, value: object) -> list[str]:
    name = flag.names[0]
    if isinstance(value, bool):
        return [name]
    if flag.repeated:
        assert isinstance(value, Iterable), "a repeated flag has a list of values"
        return [part for item in value for part in (name, str(item))]
    is_path = isinstance(value, os.PathLike) or flag.metavar in (_FOLDER, "PATH")
    return [name, os.path.abspath(os.path.expanduser(str(value))) if is_path else str(value)]


# --- flags of the command line ----------------------------------------------------------------------------------------

#: Returns the options that flags set, by name. It gets what the program has set; None if it has set nothing.
Overrides = Callable[["RunOptions | None"], Mapping[str, Any]]


class _Active:
    """The flags of the command line that this process was started with, if they have a say."""

    overrides: Overrides = staticmethod(lambda _: {})


@contextmanager
def override_options(overrides: Overrides) -> Iterator[None]:
    """Let flags replace, during a block, what the program passes to `local.init`.

    What a call of `local.run` passes itself stays: it belongs to that run.
    """
    before = _Active.overrides
    _Active.overrides = staticmethod(overrides)
    try:
        yield
    finally:
        _Active.overrides = before


def with_overrides(options: RunOptions) -> RunOptions:
    """Return the options that a program has set, with those that flags set in their places."""
    changes = _Active.overrides(options)
    return replace(options, **changes) if changes else options


def overrides_alone() -> Mapping[str, Any]:
    """Return the options that flags set, by name, for a program that has set none."""
    return _Active.overrides(None)


# --- signatures -------------------------------------------------------------------------------------------------------


def check_option_names(names: Iterable[str]) -> None:
    """Raise an ArgumentError for the first name that no option has; it suggests the option that may be meant."""
    known = [option.name for option in all_options()]
    for name in names:
        if name not in known:
            from standpipe.support.near_misses import close_names  # only a mistake needs it

            close = close_names(name, known)
            hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}."
            raise ArgumentError(f"Unknown option {name!r} of a run: {hint}")


def takes_run_options(options: Callable[P, RunOptions]) -> Callable[[Callable[..., None]], Callable[P, None]]:
    """Give a function the signature of `RunOptions`, and put the help of each option into its docstring.

    A call with arguments that are not options raises an ArgumentError.
    """

    def decorate(function: Callable[..., None]) -> Callable[P, None]:
        def call(*args: P.args, **kwargs: P.kwargs) -> None:
            import inspect  # costs time, and programs that only compile need none of it

            check_option_names(kwargs)
            try:
                inspect.signature(options).bind(*args, **kwargs)
            except TypeError as error:
                raise ArgumentError(f"local.{function.__name__}: {error}.") from None
            function(*args, **kwargs)

        doc = function.__doc__ or ""
        indent = doc.partition("{options}")[0].rpartition("\n")[2]
        doc = doc.replace(f"\n{indent}", "\n").strip()  # as `inspect.cleandoc` would, which takes long to import
        args = "\n".join(f"    {option.name}: {option.help}" for option in all_options())
        call.__name__, call.__qualname__, call.__module__ = (
            function.__name__,
            function.__qualname__,
            function.__module__,
        )
        call.__doc__ = doc.replace("{options}", f"Args:\n{args}")
        call.__annotations__ = {option.name: option.type for option in all_options()} | {"return": "None"}
        # `inspect.signature` follows it. A signature made here would need `inspect`, which takes long to import.
        call.__wrapped__ = MethodType(RunOptions.__init__, RunOptions)  # type: ignore[attr-defined]
        return call

    return decorate


def is_required(option: Option) -> bool:
    """Return whether an option has no default."""
    return option.default is MISSING
