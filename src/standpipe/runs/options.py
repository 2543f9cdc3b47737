"""The options of a run, each declared once, in `RunOptions`.

The signature and the documentation of `local.init`, the flags of the command line, the commands that messages suggest,
and the table in the documentation all follow from it. A new option is one field here, and the code that acts on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MethodType
from typing import Any, NamedTuple, ParamSpec

from standpipe.errors import ArgumentError
from standpipe.faults import Fault, check_faults
from standpipe.model.frozen import MISSING, declared_fields, field, frozen
from standpipe.model.locations import is_remote
from standpipe.runners.api import LocalRunner, suggestions
from standpipe.support.umask import GROUP, PRIVATE

P = ParamSpec("P")

#: How a task that asks for more than the machine has is treated (`model.resources.ResourcePolicy`).
RESOURCE_POLICIES = ("clamp", "strict", "ignore")


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
    `docs`, of the page that says more. `check` raises an `ArgumentError` for a value that the option cannot have; it
    is called with the option's name and the value.
    """

    name: str
    type: str
    default: Any
    help: str
    check: Callable[[str, Any], None]
    flag: Flag | None
    page: str


def _no_check(name: str, value: object) -> None:
    """Accept any value, because only its truth matters."""


def _declare(
    help: str,  # noqa: A002 - as argparse calls it
    check: Callable[[str, Any], None] = _no_check,
    *,
    flag: Flag | None = None,
    page: str = "",
) -> dict[str, Any]:
    """Return the metadata of a field of `RunOptions`."""
    return {"help": help, "check": check, "flag": flag, "page": page}


# --- checks -----------------------------------------------------------------------------------------------------------


def check_folder(name: str, value: object) -> None:
    """Raise an ArgumentError unless the value is the path of a folder on this machine."""
    if not isinstance(value, (str, os.PathLike)) or not isinstance(path := os.fspath(value), str) or "\0" in path:
        raise ArgumentError(f"Invalid {name}={value!r}: expected the path of a folder, as str or pathlib.Path.")
    if is_remote(path):
        hint = " For artifacts on a cluster: @dsl.pipeline(pipeline_root=...)." if name == "pipeline_root" else ""
        raise ArgumentError(f"Invalid {name}={path!r}: expected a folder on this machine.{hint}")


def _check_optional_folder(name: str, value: object) -> None:
    if value is not None:
        check_folder(name, value)


def _check_runner(name: str, value: object) -> None:
    if not isinstance(value, LocalRunner):
        raise ArgumentError(f"Invalid {name}={value!r}: expected {' or '.join(suggestions())}.")


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"Invalid {name}={value!r}: expected a whole number of tasks, at least 1.")


def _check_policy(name: str, value: object) -> None:
    if value not in RESOURCE_POLICIES:
        raise ArgumentError(f"Invalid {name}={value!r}: expected one of {', '.join(map(repr, RESOURCE_POLICIES))}.")


def _check_kubernetes(name: str, value: object) -> None:
    if isinstance(value, (str, os.PathLike)):
        if not os.path.exists(os.path.expanduser(value)):
            raise ArgumentError(
                f"Invalid {name}={str(value)!r}: there is no such file or folder. Pass the path of a file or folder "
                "with the contents of secrets, config maps and PVCs."
            )
    elif not isinstance(value, (Mapping, type(None))):
        raise ArgumentError(f"Invalid {name}: expected a file, a folder or a mapping, got {type(value).__name__}.")


def _check_faults(_: str, value: Any) -> None:
    check_faults(value)


def _check_names(name: str, value: object) -> None:
    if not isinstance(value, Collection) or isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise ArgumentError(
            f"Invalid {name}={value!r}: expected a list of names of environment variables, such as ['API_TOKEN']."
        )


# --- the options ------------------------------------------------------------------------------------------------------

_FOLDER = "FOLDER"


@frozen
class RunOptions:
    """The options of a run; each field is one, with its type, default, help, check and flag."""

    runner: LocalRunner = field(
        metadata=_declare(
            "Where tasks run: `local.SubprocessRunner()`, `local.DockerRunner()` or another runner of `local`.",
            _check_runner,
            page="how-to/runners.md",
        )
    )
    pipeline_root: str | os.PathLike[str] = field(
        default="./local_outputs",
        metadata=_declare(
            "The folder in which each run has a folder of its own; `~` is the home folder.",
            check_folder,
            flag=Flag(("--root", "--pipeline-root"), _FOLDER, suggested=False),  # commands name it by themselves
        ),
    )
    workspace_root: str | os.PathLike[str] | None = field(
        default=None,
        metadata=_declare(
            "The folder that tasks see as their workspace. It is never removed. By default a pipeline with a workspace "
            "has one in the folder of its run.",
            _check_optional_folder,
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
            _check_optional_folder,
            flag=Flag(("--cache-root",), _FOLDER),
            page="how-to/caching.md",
        ),
    )
    max_parallel: int = field(
        default=16,  # independent of the number of cores: most tasks wait for I/O
        kw_only=True,
        metadata=_declare(
            "The number of tasks that may run at the same time.",
            _check_count,
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
            _check_kubernetes,
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
            _check_policy,
            flag=Flag(("--resource-policy",), choices=RESOURCE_POLICIES),
            page="how-to/resources.md",
        ),
    )
    faults: Sequence[Fault] = field(
        default=(),
        kw_only=True,
        metadata=_declare(
            "The faults to inject: `local.Fail`, `local.Delay` and `local.Kill`.",
            _check_faults,
            page="how-to/faults.md",
        ),
    )
    secret_env: Sequence[str] = field(
        default=(),
        kw_only=True,
        metadata=_declare(
            "The names of environment variables, of this process or of tasks, whose values are redacted in logs, "
            "messages and the run store. Those of secrets in `kubernetes` always are.",
            _check_names,
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

    def __post_init__(self) -> None:
        for option in all_options():
            option.check(option.name, getattr(self, option.name))

    @property
    def umask(self) -> int:
        """Return the permissions that what a run leaves does not get."""
        return GROUP if self.group_access else PRIVATE

    @property
    def command_options(self) -> tuple[str, ...]:
        """Return the flags of `standpipe resume` and `rerun` that set the same options, where flags for them exist."""
        flags = [*self.runner.command_options]
        for option in all_options():
            value = getattr(self, option.name)
            if option.flag and option.flag.suggested and value != option.default and not isinstance(value, Mapping):
                flags += _as_flags(option.flag, value)
        return tuple(flags)


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


def check_option_names(names: Iterable[str]) -> None:
    """Raise an ArgumentError for the first name that no option has; it suggests the option that may be meant."""
    known = [option.name for option in all_options()]
    for name in names:
        if name not in known:
            from difflib import get_close_matches  # costs time, and only a mistake needs it

            close = get_close_matches(name, known, n=1)
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
