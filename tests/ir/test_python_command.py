from __future__ import annotations

import pytest
from hypothesis import given

from standpipe.ir.python_command import recognize, render
from standpipe.model.kfp import KFP_REQUIREMENTS
from standpipe.model.plan import PythonFunction
from tests.ir.strategies import functions

SOURCE = "\nimport kfp\n\ndef f(): ...\n"
RUN = (
    "program_path=$(mktemp -d)\n\n"
    'printf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
    "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main                         --component_module_path"
    '                         "$program_path/ephemeral_component.py"                         "$@"\n'
)
ARGS = ("--executor_input", "{{$}}", "--function_to_execute", "f")
PIP = "python3 -m pip install --quiet --no-warn-script-location "
KFP = "'kfp==2.17.3' '--no-deps' 'typing-extensions>=3.7.4,<5; python_version<\"3.9\"'"
VENV = (
    "\nexport PIP_DISABLE_PIP_VERSION_CHECK=1\ntmp=$(mktemp -d)\n"
    'python3 -m venv "$tmp/venv" --system-site-packages\n. "$tmp/venv/bin/activate"\n'
)
INDEX = ("https://a/s", "https://b/s")


def function(**changes: object) -> PythonFunction:
    return PythonFunction("f", SOURCE, **changes)  # type: ignore[arg-type]


def install(commands: str) -> str:
    return (
        '\nif ! [ -x "$(command -v pip)" ]; then\n'
        "    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip\nfi\n\n"
        f'PIP_DISABLE_PIP_VERSION_CHECK=1 {commands} && "$0" "$@"\n'
    )


RELEASE = KFP_REQUIREMENTS

CASES = [
    (function(kfp_requirements=RELEASE), f"{PIP}{KFP}"),
    (function(kfp_requirements=RELEASE, use_venv=True), f"{VENV} {PIP}{KFP}"),
    (function(packages=("a==1", "b")), f"{PIP}'a==1' 'b'"),
    (function(packages=("a",), kfp_requirements=RELEASE), f"{PIP}'a'  &&  {PIP}{KFP}"),
    (function(packages=("a",), kfp_requirements=RELEASE, use_venv=True), f"{PIP}'a'  &&  {VENV} {PIP}{KFP}"),
    (
        function(packages=("a",), index_urls=INDEX),
        f"{PIP}--index-url https://a/s --extra-index-url https://b/s 'a'",
    ),
    (
        function(packages=("a",), index_urls=("http://a/s",)),
        f"{PIP}--index-url http://a/s --trusted-host http://a/s 'a'",
    ),
    (function(packages=("a",), index_urls=("http://a/s",), trusted_hosts=()), f"{PIP}--index-url http://a/s 'a'"),
    (
        function(packages=("a",), index_urls=INDEX[:1], trusted_hosts=INDEX[:1]),  # what kfp 2.17.3 adds by itself
        f"{PIP}--index-url https://a/s --trusted-host https://a/s 'a'",
    ),
    (
        function(packages=("a",), index_urls=INDEX[:1], trusted_hosts=("h",)),
        f"{PIP}--index-url https://a/s --trusted-host h 'a'",
    ),
    (function(packages=("it's", 'x; y<"3"', "back\\slash\n")), PIP + r""""it's" 'x; y<"3"' 'back\\slash\n'"""),
    (function(packages=("a  &&  'b'",), kfp_requirements=RELEASE), f"{PIP}\"a  &&  'b'\"  &&  {PIP}{KFP}"),
    (function(kfp_requirements=("git+x@refs/pull/1/head", "--no-deps")), f"{PIP}'git+x@refs/pull/1/head' '--no-deps'"),
    (function(kfp_requirements=("/some/kfp", "--no-deps")), f"{PIP}'/some/kfp' '--no-deps'"),
    (function(packages=("a",), kfp_requirements=("/none/kfp",)), f"{PIP}'a'  &&  {PIP}'/none/kfp'"),
    (
        function(kfp_requirements=("git+https://github.com/kubeflow/pipelines@main",)),
        f"{PIP}'git+https://github.com/kubeflow/pipelines@main'",
    ),
]


@pytest.mark.parametrize(("given", "commands"), CASES)
def test_installations(given: PythonFunction, commands: str) -> None:
    command, args = render(given)

    assert command == ("sh", "-c", install(commands), "sh", "-ec", RUN, SOURCE)
    assert args == ARGS
    assert recognize(command, args) == given


def test_nothing_to_install() -> None:
    assert render(function()) == (("sh", "-ec", RUN, SOURCE), ARGS)
    assert recognize(("sh", "-ec", RUN, SOURCE), ARGS) == function()


@given(functions())
def test_what_is_rendered_is_recognized(function: PythonFunction) -> None:
    assert recognize(*render(function)) == function


@pytest.mark.parametrize(("urls", "hosts"), [(INDEX, ()), (("http://a/s", *INDEX), ("http://a/s",))])
def test_trusted_hosts_that_are_the_default(urls: tuple[str, ...], hosts: tuple[str, ...]) -> None:
    explicit = function(packages=("a",), index_urls=urls, trusted_hosts=hosts)

    assert recognize(*render(explicit)) == function(packages=("a",), index_urls=urls)


def test_requirements_that_may_be_the_authors_are() -> None:
    assert recognize(*render(function(kfp_requirements=("/none/kfp",)))) == function(packages=("/none/kfp",))
    assert recognize(*render(function(packages=("own", "--no-deps")))) == function(packages=("own", "--no-deps"))
    assert recognize(*render(function(packages=("--no-deps", "./own")))) == function(packages=("--no-deps", "./own"))


def test_another_release_of_the_sdk_with_the_same_layout() -> None:
    command, args = render(function(kfp_requirements=("kfp==2.14.3", *RELEASE[1:])))

    assert "'kfp==2.14.3' '--no-deps'" in command[2]
    assert recognize(command, args) == function(kfp_requirements=("kfp==2.14.3", *RELEASE[1:]))


OLD_RUN = (
    'program_path=$(mktemp -d)\nprintf "%s" "$0" > "$program_path/ephemeral_component.py"\n'
    "python3 -m kfp.components.executor_main                         --component_module_path"
    '                         "$program_path/ephemeral_component.py"                         "$@"\n'
)
OLD_PIP = PIP.replace("--quiet ", "--quiet     ")
BESIDE = "--index-url https://a/s --trusted-host https://a/s --extra-index-url https://b/s --trusted-host https://b/s "
DEPENDENCIES = RELEASE[1:]


@pytest.mark.parametrize(
    ("given", "commands", "run"),
    [
        # 2.9 to 2.13
        (
            function(packages=("a",), kfp_requirements=("kfp==2.9.0", *DEPENDENCIES), layout="2.9"),
            f"{PIP}{KFP.replace('17.3', '9.0')}  &&  {PIP}'a'",
            RUN,
        ),
        (
            function(packages=("a",), kfp_requirements=RELEASE, use_venv=True, layout="2.9"),
            f"{VENV} {PIP}{KFP}  &&  {PIP}'a'",
            RUN,
        ),
        (function(packages=("a",), kfp_requirements=("./kfp",), layout="2.9"), f"{PIP}'./kfp'  &&  {PIP}'a'", RUN),
        # 2.2 to 2.8
        (
            function(packages=("a",), kfp_requirements=RELEASE, index_urls=INDEX, layout="2.2"),
            f"{PIP}{BESIDE}{KFP}  &&  {PIP}{BESIDE}'a'",
            RUN,
        ),
        # 2.1
        (
            function(packages=("a",), kfp_requirements=RELEASE, index_urls=INDEX, layout="2.1"),
            f"{OLD_PIP}{BESIDE}'a' {KFP}",
            RUN,
        ),
        (function(packages=("a",), layout="2.1"), f"{OLD_PIP}'a'", RUN),
        # 2.0
        (function(kfp_requirements=("kfp==2.0.1",), layout="2.0"), f"{OLD_PIP}'kfp==2.0.1'", OLD_RUN),
        (
            function(packages=("a", "b"), kfp_requirements=("kfp==2.0.1",), layout="2.0"),
            f"{OLD_PIP}'a' 'b' 'kfp==2.0.1'",
            OLD_RUN,
        ),
        (
            function(packages=("a",), kfp_requirements=("git+https://github.com/kubeflow/pipelines",), layout="2.0"),
            f"{OLD_PIP}'a' 'git+https://github.com/kubeflow/pipelines'",
            OLD_RUN,
        ),
    ],
)
def test_commands_of_older_sdks(given: PythonFunction, commands: str, run: str) -> None:
    command = ("sh", "-c", install(commands), "sh", "-ec", run, SOURCE)

    assert render(given) == (command, ARGS)
    assert recognize(command, ARGS) == given


def test_the_oldest_sdk_with_nothing_to_install() -> None:
    assert recognize(("sh", "-ec", OLD_RUN, SOURCE), ARGS) == function(layout="2.0")


def test_what_looks_more_like_kfp_is_kfp() -> None:
    """A file by one SDK may hold components that another one compiled, so its own version says nothing."""
    either = ("sh", "-c", install(f"{PIP}'./a'  &&  {PIP}'./b'"), "sh", "-ec", RUN, SOURCE)

    assert recognize(either, ARGS) == function(packages=("./a",), kfp_requirements=("./b",))


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ((), ()),
        (("python3", "-m", "kfp.dsl.executor_main"), ARGS),
        (("sh", "-ec", RUN + " ", SOURCE), ARGS),
        (("sh", "-ec", RUN, SOURCE), (*ARGS, "--verbose")),
        (("sh", "-ec", RUN, SOURCE), ("--executor_input", "{{$}}", "--function", "f")),
        (("bash", "-ec", RUN, SOURCE), ARGS),
        (("sh", "-c", install(f"{PIP}'a'") + " ", "sh", "-ec", RUN, SOURCE), ARGS),
        (("sh", "-c", install(f"{PIP}a"), "sh", "-ec", RUN, SOURCE), ARGS),
        (("sh", "-c", install(f"{PIP}'a' && {PIP}'b'"), "sh", "-ec", RUN, SOURCE), ARGS),
        (("sh", "-c", install(f"{PIP}--pre 'a'"), "sh", "-ec", RUN, SOURCE), ARGS),
        (("sh", "-c", install(f'{PIP}"a"'), "sh", "-ec", RUN, SOURCE), ARGS),
        (("sh", "-c", install(f"{PIP}'\\x'"), "sh", "-ec", RUN, SOURCE), ARGS),
        (("sh", "-c", install(f"{PIP}--extra-index-url x 'a'"), "sh", "-ec", RUN, SOURCE), ARGS),
        (("sh", "-c", install(""), "sh", "-ec", RUN, SOURCE), ARGS),
    ],
)
def test_what_is_not_exactly_the_sdks_stays_a_command(command: tuple[str, ...], args: tuple[str, ...]) -> None:
    assert recognize(command, args) is None
