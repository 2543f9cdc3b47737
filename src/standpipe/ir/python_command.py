"""Lightweight Python components: the function in a Plan, and the command that the KFP SDK compiles it to.

A compiled file knows no functions, only shell commands: one that installs packages, and one that writes the program
into a file and lets KFP's executor call the function. To run the function without KFP, the command is taken apart
again, and only if putting it together gives the very same text: otherwise it stays an ordinary command.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from standpipe.model.kfp import INSTALL_SCRIPT, PIP_INSTALL, index_options, quoted
from standpipe.model.plan import PythonFunction

CommandAndArgs = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Layout:
    """How versions of the SDK write the command, byte for byte.

    `install` has the place of the pip commands (`{commands}`); `run` receives the program's text as its `$0`.
    """

    install: str
    pip: str
    venv: str
    run: str


#: By the version of the SDK that wrote the file. The first one also serves versions that are not named here.
LAYOUTS: dict[str, Layout] = {
    "2.17.0": Layout(
        install=INSTALL_SCRIPT,
        pip=PIP_INSTALL,
        venv=(
            "\nexport PIP_DISABLE_PIP_VERSION_CHECK=1\n"
            "tmp=$(mktemp -d)\n"
            'python3 -m venv "$tmp/venv" --system-site-packages\n'
            '. "$tmp/venv/bin/activate"\n'
        ),
        run=(
            "program_path=$(mktemp -d)\n\n"
            'printf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
            "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main "
            "                        --component_module_path "
            '                        "$program_path/ephemeral_component.py" '
            '                        "$@"\n'
        ),
    ),
}

_KFP_RELEASE = re.compile(r"kfp==(?P<version>\S+)")
_LITERAL = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_OPTION = re.compile(r"--(index-url|extra-index-url|trusted-host) (\S+) ")


def render(function: PythonFunction) -> CommandAndArgs:
    """The command and the arguments that the KFP SDK compiles the function to."""
    layout = _layout_for(function.kfp_requirements)
    run = ("sh", "-ec", layout.run, function.source)
    args = ("--executor_input", "{{$}}", "--function_to_execute", function.name)
    return _install_command(function, layout) + run, args


def _layout_for(kfp_requirements: tuple[str, ...]) -> Layout:
    release = _KFP_RELEASE.fullmatch(kfp_requirements[0]) if kfp_requirements else None
    newest = next(iter(LAYOUTS.values()))
    return LAYOUTS.get(release["version"], newest) if release else newest


def _install_command(function: PythonFunction, layout: Layout) -> tuple[str, ...]:
    pip = layout.pip + index_options(function.index_urls, function.trusted_hosts)
    parts = []
    if function.packages:
        parts.append(pip + quoted(function.packages))
    if function.packages and function.kfp_requirements:
        parts.append(" && ")
    if function.kfp_requirements:
        parts += [layout.venv] if function.use_venv else []
        parts.append(pip + quoted(function.kfp_requirements))
    return ("sh", "-c", layout.install.replace("{commands}", " ".join(parts))) if parts else ()


def recognise(command: Sequence[str], args: Sequence[str]) -> PythonFunction | None:
    """The function that a compiled command runs, or None if it is not exactly what `render` gives for one.

    What two different functions are both compiled to is read one way: requirements that are installed alone are the
    author's own, unless they are a release or a location with KFP's `--no-deps`, or where KFP's sources are; trusted
    hosts that are the index URLs are the default.
    """
    given = (tuple(command), tuple(args))
    for layout in LAYOUTS.values():
        function = _take_apart(*given, layout)
        if function is not None and render(function) == given:
            return function
    return None


def _take_apart(command: tuple[str, ...], args: tuple[str, ...], layout: Layout) -> PythonFunction | None:
    if len(args) != 4 or len(command) not in (4, 7):
        return None
    name, source = args[3], command[-1]
    if len(command) == 4:
        return PythonFunction(name, source)
    before, after = layout.install.split("{commands}")
    script = command[2]
    if not (script.startswith(before) and script.endswith(after)):
        return None
    found = _pattern(layout).fullmatch(script[len(before) : -len(after)])
    return _function(found, name, source) if found else None


def _pattern(layout: Layout) -> re.Pattern[str]:
    requirements = rf"{_LITERAL}(?: {_LITERAL})*"
    pip = rf"{re.escape(layout.pip)}(?P<%s_options>(?:{_OPTION.pattern})*)(?P<%s>{requirements})"
    user, kfp = pip % ("user", "user"), pip % ("kfp", "kfp")
    return re.compile(rf"(?:{user})?(?:(?:  &&  )?(?P<venv>{re.escape(layout.venv)} )?{kfp})?", re.DOTALL)


def _function(found: re.Match[str], name: str, source: str) -> PythonFunction | None:
    user, kfp = _unquote(found["user"]), _unquote(found["kfp"])
    if user is None or kfp is None:
        return None
    if user and not kfp and _is_kfp(user):
        user, kfp = (), user
    options = _OPTION.findall(found["user_options"] or found["kfp_options"] or "")
    index_urls = tuple(value for option, value in options if option != "trusted-host")
    trusted_hosts = tuple(value for option, value in options if option == "trusted-host")
    return PythonFunction(
        name,
        source,
        packages=user,
        index_urls=index_urls,
        trusted_hosts=None if trusted_hosts == index_urls else trusted_hosts,
        kfp_requirements=kfp,
        use_venv=found["venv"] is not None,
    )


def _unquote(requirements: str | None) -> tuple[str, ...] | None:
    try:
        return tuple(ast.literal_eval(literal) for literal in re.findall(_LITERAL, requirements or "", re.DOTALL))
    except (ValueError, SyntaxError):
        return None  # not what Python writes: the author's own command


def _is_kfp(requirements: tuple[str, ...]) -> bool:
    location, *options = requirements
    if not options:
        return "kubeflow/pipelines" in location
    return options[0] == "--no-deps" and ("/" in location or _KFP_RELEASE.fullmatch(location) is not None)
