"""What is known of a run's tasks before the first one starts: errors, warnings, and environments built ahead."""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from standpipe import dsl, kubernetes, local
from standpipe.cli.main import main
from standpipe.errors import EnvironmentBuildError, StandpipeError, TaskFailed
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import Container, PythonFunction
from standpipe.model.ports import PreparingRunner, Problem
from standpipe.model.states import TaskState
from standpipe.runners.api import LocalRunner
from standpipe.runs.executor_uses import find_uses
from standpipe.store.reading import run_row
from standpipe.support.code_locations import describe_place
from standpipe.ui.views.details import view_details

#: A name of its own, as `from kfp.dsl import *` defines it in a script.
EmbeddedInput = dsl.EmbeddedInput


@dsl.component
def first() -> int:
    return 1


@dsl.component(packages_to_install=["later-package"])
def later(x: int = 0) -> int:
    return x


@dsl.component(packages_to_install=["--no-such-option"])
def invalid() -> int:
    return 1


@dsl.component
def uses_a_free_name() -> int:
    return later_defined + 1  # type: ignore[name-defined]  # noqa: F821


@dsl.component
def container_less(x: int) -> int:
    return x


@dsl.container_component
def container() -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="alpine", command=["true"])


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def run(target: Any, runner: Any = None, **options: Any) -> Any:
        return local.run(
            target, {}, runner=runner or local.SubprocessRunner(), pipeline_root=tmp_path / "root", **options
        )

    return run


def _place(component: Any, offset: int = 0) -> str:
    """Return a line below the `def` of a component as messages name it."""
    (location,) = [each.source_location for each in component.plan.components.values()]
    return f"{Path(location.file).relative_to(Path.cwd())}, line {location.line + offset}"


def _line(component: Any) -> int:
    """Return the line of the `def` of a component."""
    (location,) = [each.source_location for each in component.plan.components.values()]
    return int(location.line)


# --- errors and warnings ----------------------------------------------------------------------------------------------


def test_all_that_cannot_run_is_found_before_the_first_task(run: Callable[..., Any], tmp_path: Path) -> None:
    @dsl.pipeline
    def several() -> None:
        start = first()
        container().after(start)
        with dsl.ParallelFor([1, 2]):
            invalid().after(start)
        task = later().after(start)
        task.platform_config["kubernetes"] = {
            "secretAsEnv": [
                {
                    "secretNameParameter": {"runtimeValue": {"constant": "db"}},
                    "keyToEnv": [{"secretKey": "password", "envVar": "P"}],
                }
            ]
        }

    with pytest.raises(TaskFailed) as failure:
        run(several)

    message = str(failure.value)
    assert message.startswith("The check before the run failed, so nothing was started.")
    what = "Task 'container' failed: it runs a container (alpine), and the SubprocessRunner only runs"
    assert f"{_place(container)}: {what}" in message
    what = "Task 'for-loop-2/invalid' failed: packages_to_install of component 'invalid': unknown option"
    assert f"{_place(invalid)}: {what}" in message
    assert "Task 'later' failed: it requires the secret 'db', but nothing provides it" in message
    assert "k8s.yaml has" in message
    assert not (tmp_path / "root").exists()


def test_five_kinds_of_problems_are_found_at_once_with_their_lines(run: Callable[..., Any], tmp_path: Path) -> None:
    @dsl.component(packages_to_install=["six", "pandas=>2"])
    def unreadable() -> None: ...

    @dsl.component
    def lacks_a_module() -> None:
        """Use two modules of the standard library, and one of nobody."""
        import json
        from os import path

        import no_such_module_of_standpipe.part  # type: ignore[import-not-found]

        print(json, path, no_such_module_of_standpipe)

    @dsl.pipeline
    def five() -> None:
        container()
        unreadable()
        lacks_a_module()
        uses_a_free_name()
        task = first()
        task.platform_config["kubernetes"] = {
            "secretAsEnv": [
                {
                    "secretNameParameter": {"runtimeValue": {"constant": "db"}},
                    "keyToEnv": [{"secretKey": key, "envVar": key} for key in ("password", "user")],
                }
            ]
        }

    with pytest.raises(TaskFailed) as failure:
        run(five)

    error = failure.value
    assert [(each.task, each.message.split(",")[0].split(": ")[0]) for each in error.failures] == [
        ("container", "it runs a container (alpine)"),
        ("unreadable", "invalid requirement 'pandas=>2' in packages_to_install"),
        ("lacks-a-module", "it imports 'no_such_module_of_standpipe'"),
        ("first", "it requires the secret 'db'"),
        ("uses-a-free-name", "Component 'uses_a_free_name' uses names that it does not define"),
    ]
    (call,) = [use.call for use in find_uses(five.plan) if use.task == "first" and use.call]
    lines = [_line(container), _line(unreadable), _line(lacks_a_module) + 5, call.line, _line(uses_a_free_name) + 1]
    assert [(Path(each.file).name, each.line) for each in error.failures] == [(Path(__file__).name, n) for n in lines]
    assert all(f"{Path(__file__).name}, line {line}: " in str(error) for line in lines)
    assert error.run is None
    assert not (tmp_path / "root").exists()


def test_equal_problems_of_many_tasks_are_listed_once(run: Callable[..., Any]) -> None:
    tasks = [dsl.container_component(_named(f"step{number}")) for number in range(5)]

    @dsl.pipeline
    def many() -> None:
        for each in tasks:
            each()

    with pytest.raises(TaskFailed) as failure:
        run(many)

    assert "Tasks 'step0', 'step1', 'step2' and 2 more failed: it runs a container (alpine)" in str(failure.value)
    assert str(failure.value).count("runs a container") == 1
    assert len(failure.value.failures) == 5


def _named(name: str) -> Callable[[], dsl.ContainerSpec]:
    def step() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="alpine", command=["true"])

    step.__name__ = name
    return step


def test_a_module_that_this_environment_lacks_is_found_without_environments(run: Callable[..., Any]) -> None:
    @dsl.component
    def lacks_a_module() -> None:
        import no_such_module_of_standpipe
        import pytest  # which this environment has

        print(pytest, no_such_module_of_standpipe)

    for runner in (local.SubprocessRunner(use_venv=False), local.InProcessRunner()):
        with pytest.raises(TaskFailed) as failure:
            run(lacks_a_module, runner)
        (found,) = failure.value.failures
        assert found.message == "it imports 'no_such_module_of_standpipe', which its environment does not have"
        assert found.line == _line(lacks_a_module) + 1
        assert "packages_to_install" in found.hint


def test_modules_that_may_be_there_are_no_problem(run: Callable[..., Any], tmp_path: Path) -> None:
    own = tmp_path / "embedded"
    own.mkdir()
    (own / "module_that_is_embedded.py").write_text("")

    @dsl.component
    def asks_first() -> None:
        try:
            import no_such_module_of_standpipe  # noqa: F401
        except ImportError:
            print("It is missing.")

    @dsl.component
    def imports_late(go: bool = False) -> None:
        if not go:
            return
        import no_such_module_of_standpipe  # noqa: F401

    @dsl.component(embedded_artifact_path=str(own))
    def embeds() -> None:
        import module_that_is_embedded  # type: ignore[import-not-found] # noqa: F401

    @dsl.component
    def needs_the_worker() -> None:
        import __future__

        import kfp.dsl

        print(__future__, kfp.dsl)

    @dsl.pipeline
    def fine() -> None:
        asks_first()
        imports_late()
        embeds()
        needs_the_worker()

    assert run(fine).succeeded


def test_what_may_not_run_is_a_warning(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    @dsl.pipeline
    def conditional() -> None:
        start = first()
        with dsl.If(start.output == 2):
            container()
            invalid()

    run(conditional)

    told = capsys.readouterr().err
    assert "Task 'condition-1/container' will fail if it runs: it runs a container (alpine)" in told
    assert "Task 'condition-1/invalid' will fail if it runs: packages_to_install" in told


def test_without_raise_on_error_the_task_has_the_error(run: Callable[..., Any]) -> None:
    task = run(container, raise_on_error=False, quiet=True)

    assert "failed" in repr(task)


def test_a_free_name_is_a_warning(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TaskFailed, match="NameError"):
        run(uses_a_free_name)

    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "names that it does not define" in line]
    assert warning.startswith(
        f"standpipe: {_place(uses_a_free_name, 1)}: Component 'uses_a_free_name' uses names that it does not define: "
        "later_defined (in `return later_defined + 1"
    )
    assert "additional_funcs" in warning


def test_a_marker_that_tasks_cannot_import_has_its_own_remedy(
    run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.txt").write_text("data")

    @dsl.component(embedded_artifact_path=str(tmp_path / "data.txt"))
    def reads(data: EmbeddedInput[dsl.Artifact]) -> None: ...  # type: ignore[type-arg]

    with pytest.raises(TaskFailed, match="NameError"):
        run(reads)

    told = capsys.readouterr().err
    assert "Component 'reads' has EmbeddedInput, which is not defined in a task, neither here" in told
    assert "Write dsl.EmbeddedInput instead of EmbeddedInput." in told
    assert "additional_funcs" not in told


def test_a_fake_runs_no_code_of_components(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    run(uses_a_free_name, local.FakeRunner(uses_a_free_name=lambda: 1))
    run(container, local.FakeRunner(container=lambda: None))

    assert "does not define" not in capsys.readouterr().err


def test_a_resumed_run_is_checked_for_what_is_left(run: Callable[..., Any], tmp_path: Path) -> None:
    @dsl.pipeline
    def mixed() -> None:
        uses_a_free_name().after(container())

    fail = Outcome(exit_code=1)
    fake = local.FakeRunner(container=lambda: None, uses_a_free_name=lambda: fail)
    with pytest.raises(TaskFailed, match="exited with code 1"):
        run(mixed, fake)
    with pytest.raises(TaskFailed, match="NameError"):  # and not that the container cannot run: it has
        local.resume("latest", runner=local.SubprocessRunner(), pipeline_root=tmp_path / "root")


def test_without_raise_on_error_the_task_of_a_resumed_run_has_the_error(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    fail = Outcome(exit_code=1)
    with pytest.raises(TaskFailed, match="exited with code 1"):
        run(container, local.FakeRunner(container=lambda: fail))

    task = local.resume(
        "latest", runner=local.SubprocessRunner(), pipeline_root=tmp_path / "root", raise_on_error=False, quiet=True
    )

    assert "The check before the run failed" in str(task.error)


def test_secrets_are_redacted_in_warnings(
    run: Callable[..., Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "t0ken-of-the-index")

    @dsl.component(packages_to_install=["--no-such-t0ken-of-the-index"])
    def secretive() -> None:
        pass

    @dsl.pipeline
    def conditional() -> None:
        with dsl.If(first().output == 2):
            secretive()

    run(conditional, secret_env=["INDEX_TOKEN"])

    told = capsys.readouterr().err
    assert "Task 'condition-1/secretive' will fail if it runs: packages_to_install" in told
    assert "t0ken" not in told


class Pods(local.KubernetesRunner):
    """Its pods are on no cluster."""

    def open(self) -> Any:
        return Preparing()


def test_a_folder_of_runs_that_users_of_pods_cannot_enter_is_found_before_the_run() -> None:
    @dsl.pipeline
    def users() -> None:
        first()
        kubernetes.set_security_context(later(), run_as_user=1234)
        kubernetes.set_security_context(container(), run_as_user=0)

    options = {"pipeline_root": "s3://data/runs", "state_root": "/root/project/runs", "quiet": True}
    with pytest.raises(TaskFailed) as caught:
        local.run(users, {}, runner=Pods(run_as_user=1000), **options)
    assert [(problem.task, problem.message) for problem in caught.value.failures] == [
        (
            task,
            f"its pod runs as user {user}, and only root can enter the folder /root of its containers, in which "
            "state_root is (/root/project/runs)",
        )
        for task, user in (("first", 1000), ("later", 1234))
    ]
    assert "Set state_root to a folder that every user can enter, such as one below /tmp" in str(caught.value)
    assert not Path("/root/project").exists()


@pytest.mark.parametrize(
    ("options", "root"),
    [
        ({}, "/root/runs"),  # the user is that of the images
        ({"run_as_user": 1000}, "/root"),  # the volume is at its path
        ({"run_as_user": 1000}, "/rooted/runs"),
        ({"run_as_user": 1000, "agent_image": "registry.example.org/agent:1"}, "/root/runs"),  # it may be open there
    ],
)
def test_folders_of_runs_that_users_of_pods_may_enter(options: dict[str, Any], root: str) -> None:
    (use,) = find_uses(first.plan)
    assert [*local.KubernetesRunner(**options).find_user_problems(use.executor, None, Path(root))] == []


# --- which executors a run uses ---------------------------------------------------------------------------------------


def test_uses() -> None:
    @dsl.pipeline
    def inner() -> None:
        later().set_retry(2)

    @dsl.pipeline
    def outer(items: list) -> None:
        start = first()
        with dsl.If(start.output == 1):
            invalid()
        with dsl.ParallelFor(items):
            container()
        inner().after(start)

    uses = {use.label: use[2:6] for use in find_uses(outer.plan)}

    assert uses == {
        "exec-first": ("first", True, True, False),
        "exec-invalid": ("condition-1/invalid", False, False, False),
        "exec-container": ("for-loop-2/container", False, True, False),
        "exec-later": ("inner/later", True, False, True),
    }


# --- environments built ahead -----------------------------------------------------------------------------------------


class Preparing(LocalRunner):
    """A runner that notes what it prepares, and whose first task waits until that has happened."""

    def __init__(self, error: StandpipeError | None = None, ready: bool = False) -> None:
        self.error = error
        self.ready = ready
        self.prepared: list[str] = []
        self.checked: list[str] = []
        self.unresolved = ""
        self.stopped = False
        self.begun = threading.Event()

    def open(self) -> Any:
        return self

    def run(self, request: TaskRequest, *, log: Any, cancel: Cancellation) -> Outcome:
        assert isinstance(request.program, PythonFunction)
        if request.program.name == "first" and not self.ready:
            assert self.begun.wait(10)
            if self.error:
                woken = threading.Event()
                cancel.on_set(woken.set)
                self.stopped = woken.wait(2)
        output = request.executor_input["outputs"]["parameters"]["Output"]["outputFile"]
        Path(output).write_text("1")
        return Outcome(exit_code=0)

    def find_problems(self, executor: Container) -> list[Problem]:
        return []

    def is_prepared(self, executor: Container) -> bool:
        return self.ready

    def prepare(self, executor: Container, cancel: Cancellation) -> None:
        assert isinstance(executor.program, PythonFunction)
        self.prepared.append(executor.program.name)
        self.begun.set()
        if self.error and executor.program.name != self.unresolved:
            raise self.error

    def check(self, executor: Container, cancel: Cancellation) -> None:
        assert isinstance(executor.program, PythonFunction)
        self.checked.append(executor.program.name)
        if self.unresolved == executor.program.name:
            raise EnvironmentBuildError("No version of it exists")

    def close(self) -> None:
        """Nothing is open."""

    def workspace_path(self, workspace: Path) -> str:
        return str(workspace)


@dsl.pipeline
def chain() -> int:
    return later(x=first().output).output


@dsl.pipeline
def retried() -> int:
    return later(x=first().output).set_retry(1).output


def test_the_environments_of_later_tasks_are_built_while_the_first_runs(run: Callable[..., Any]) -> None:
    runner = Preparing()

    assert run(chain, runner, quiet=True).output == 1
    assert runner.prepared == ["later"]


def test_nothing_is_prepared_where_everything_is_there(run: Callable[..., Any]) -> None:
    runner = Preparing(ready=True)

    assert run(chain, runner, quiet=True).output == 1
    assert runner.prepared == []


def test_an_environment_that_a_later_task_needs_stops_the_run(run: Callable[..., Any], tmp_path: Path) -> None:
    runner = Preparing(EnvironmentBuildError("The packages later-package cannot be installed"))
    with pytest.raises(TaskFailed) as failure:
        run(chain, runner, quiet=True)

    message = str(failure.value)
    assert message.startswith("Run chain-")
    where = f"its task 'later' ({_place(later)}) would fail: "
    assert f"was stopped: {where}The packages later-package cannot be installed." in message
    assert "The run finished with status FAILED." in message
    assert message.count("standpipe ") == 1, "one command"
    assert "To resume the run" in message
    assert runner.stopped
    assert run_row(tmp_path / "root", "latest").state is TaskState.FAILED


def test_a_run_that_was_stopped_says_why_in_all_its_records(
    run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @dsl.component
    def tidy(status: dsl.PipelineTaskFinalStatus) -> str:
        return f"{status.state}: {status.error_message}"

    @dsl.pipeline
    def handled() -> None:
        with dsl.ExitHandler(tidy()):
            start = first()
            later(x=start.output)
            container_less(x=start.output)

    class Tidied(Preparing):
        def run(self, request: TaskRequest, *, log: Any, cancel: Cancellation) -> Outcome:
            statuses.append(request.executor_input["inputs"].get("parameterValues", {}).get("status"))
            outcome = super().run(request, log=log, cancel=cancel)
            return Outcome(exit_code=1) if self.stopped and cancel else outcome

    statuses: list[Any] = []
    reason, root = "The packages later-package cannot be installed", str(tmp_path / "root")
    with pytest.raises(TaskFailed) as failure:
        run(handled, Tidied(EnvironmentBuildError(reason)))
    shown = capsys.readouterr().out
    assert "Ctrl-C" not in shown
    place = f"'exit-handler-1/later' ({_place(later)})"
    assert f"Stopping the run: its task {place} cannot be set up. Waiting for 1 task (exit-handler-1/first)." in shown
    status = json.loads(statuses[-1]) if isinstance(statuses[-1], str) else statuses[-1]
    assert (status["state"], status["error"]["message"]) == (
        "FAILED",
        f"its task 'exit-handler-1/later' failed: {reason}",
    )

    stopped = failure.value.run
    assert {task.path: task.status.value for task in stopped.all_tasks()} == {
        "exit-handler-1": "FAILED",
        "exit-handler-1/first": "CANCELLED",
        "exit-handler-1/later": "FAILED",
        "exit-handler-1/container-less": "CANCELLED",
        "tidy": "SUCCEEDED",
    }
    ((name, message, _, file, line),) = stopped.failed_tasks
    assert (name, message, describe_place(file, line)) == ("exit-handler-1/later", reason, _place(later))
    assert main(["show", "latest", "--root", root]) == 0
    assert f"    later: failed: {reason}\n" in capsys.readouterr().out
    assert main(["show", "latest", "--json", "--root", root]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["stop_reason"]) == ("FAILED", f"its task {place} cannot be set up")
    assert reason in document["failures"][0]
    assert main(["report", "latest", "--no-html", "--junit", "-", "--root", root]) == 0
    cases = {case.get("name"): case for case in ET.fromstring(capsys.readouterr().out).iter("testcase")}
    assert [each.get("message") for each in cases["later"].iter("failure")] == [reason]
    assert [each.get("message") for each in cases["first"].iter("error")] == [
        f"The task was cancelled, as the run was stopped: its task {place} cannot be set up."
    ]
    assert main(["report", "latest", "-o", str(tmp_path / "report.html"), "--markdown", "-", "--root", root]) == 0
    assert f"its task {place} cannot be set up." in capsys.readouterr().out.replace("\\", "")
    page = html.unescape((tmp_path / "report.html").read_text())
    assert reason in page
    assert f"its task {place} cannot be set up" in page
    details = view_details(stopped, None)
    assert [fact.text for fact in details.facts if fact.label == "Stopped"] == [stopped.stop_reason]
    assert [failed.path for failed in details.failures] == ["exit-handler-1/later"]

    resumed = local.resume(stopped.id, pipeline_root=root, runner=Preparing(ready=True), quiet=True)
    assert resumed.error is None
    again = local.get_run(stopped.id, root)
    assert (again.status.value, again.stop_reason, again.failures) == ("SUCCEEDED", "", ())


def test_all_environments_that_cannot_be_built_are_in_one_error(run: Callable[..., Any]) -> None:
    @dsl.component(packages_to_install=["other-package"])
    def other(x: int) -> None: ...

    @dsl.component(packages_to_install=["maybe-package"])
    def maybe(x: int) -> None: ...

    @dsl.pipeline
    def several() -> None:
        start = first()
        later(x=start.output)
        other(x=start.output)
        with dsl.If(start.output == 2):
            maybe(x=start.output)

    runner = Preparing(EnvironmentBuildError("no such package"))
    runner.unresolved = "other"
    with pytest.raises(TaskFailed) as failure:
        run(several, runner, quiet=True)

    error = failure.value
    assert "its tasks would fail\n\nTask 'later' (" in str(error)
    assert f"Task 'other' ({_place(other)}) would fail: No version of it exists" in str(error)
    assert {(each.task, each.message) for each in error.failures} == {
        ("later", "no such package"),
        ("other", "No version of it exists"),
    }
    assert "maybe" not in runner.checked  # it may not run
    assert error.run.status.value == "FAILED"
    assert {each.task for each in error.run.failed_tasks} == {"later", "other"}


def test_tasks_that_cannot_be_built_for_one_reason_have_it_once(run: Callable[..., Any]) -> None:
    @dsl.component(packages_to_install=["other-package"])
    def other(x: int) -> None: ...

    @dsl.pipeline
    def several() -> None:
        start = first()
        later(x=start.output)
        other(x=start.output)

    runner = Preparing(EnvironmentBuildError("No version of it exists"))
    runner.unresolved = "other"
    with pytest.raises(TaskFailed) as failure:
        run(several, runner, quiet=True)

    names = f"its tasks 'later' ({_place(later)}), 'other' ({_place(other)}) would fail: No version of it exists."
    assert names in str(failure.value)
    assert str(failure.value).count("No version") == 1
    assert {each.task for each in failure.value.failures} == {"later", "other"}


def test_after_a_first_task_that_cannot_be_built_the_others_are_warned_of(
    run: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    @dsl.component(packages_to_install=["other-package"])
    def other(x: int) -> None: ...

    @dsl.pipeline
    def several() -> None:
        start = first()
        later(x=start.output)
        other(x=start.output)

    class Unbuilt(Preparing):
        def run(self, request: TaskRequest, *, log: Any, cancel: Cancellation) -> Outcome:
            raise EnvironmentBuildError("no such package")

        def prepare(self, executor: Container, cancel: Cancellation) -> None:
            """Take longer than the first task."""
            woken = threading.Event()
            cancel.on_set(woken.set)
            woken.wait()

    runner = Unbuilt()
    runner.unresolved = "other"
    with pytest.raises(TaskFailed, match="Task 'first' failed: no such package"):
        run(several, runner, quiet=True)

    assert runner.checked == ["later", "other"]
    assert f"Task 'other' ({_place(other)}) would fail: No version of it exists" in capsys.readouterr().err


def test_after_a_first_task_that_fails_nothing_else_is_checked(run: Callable[..., Any]) -> None:
    class Failing(Preparing):
        def run(self, request: TaskRequest, *, log: Any, cancel: Cancellation) -> Outcome:
            self.ready = True  # its environment was built
            return Outcome(exit_code=1)

    runner = Failing()
    with pytest.raises(TaskFailed, match="Task 'first' failed"):
        run(chain, runner, quiet=True)
    assert runner.checked == []


def test_a_task_that_is_retried_is_only_warned_of(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    runner = Preparing(EnvironmentBuildError("no network"))

    assert run(retried, runner).output == 1
    assert "Task 'later' will fail if it runs: no network" in capsys.readouterr().err
    assert not runner.stopped


def test_secrets_are_redacted_in_the_errors_of_preparations(
    run: Callable[..., Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "t0ken-of-the-index")
    runner = Preparing(EnvironmentBuildError("cannot fetch https://example.org/t0ken-of-the-index/simple"))

    run(retried, runner, secret_env=["INDEX_TOKEN"])

    assert "cannot fetch https://example.org/***/simple" in capsys.readouterr().err


def test_a_defect_in_a_preparation_is_a_warning(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    runner = Preparing()
    runner.error = KeyError("defect")  # type: ignore[assignment]

    assert run(chain, runner).output == 1
    assert "failed to prepare task 'later', please report it: KeyError('defect')" in capsys.readouterr().err


def test_nothing_is_installed_ahead_into_the_current_environment() -> None:
    (executor,) = later.plan.executors.values()
    assert isinstance(executor, Container)
    runner = local.SubprocessRunner(use_venv=False).open()

    assert isinstance(runner, PreparingRunner)
    assert runner.is_prepared(executor)
