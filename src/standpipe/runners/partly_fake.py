"""A runner for tests that replaces some tasks by functions, and runs the others on another runner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from standpipe.artifact_stores.providers import FindProviders, Providers, StoreUser
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import Container, Plan
from standpipe.model.ports import (
    CallerThreadRunner,
    CallInThread,
    CheckingRunner,
    ClaimStore,
    Log,
    PodRunner,
    PreparingRunner,
    Problem,
    Runner,
    moves_payloads,
)
from standpipe.model.refs import RunId
from standpipe.model.resources import Capacity
from standpipe.runners.api import LocalRunner
from standpipe.runners.fake import FakeRunner, FakeTaskRunner
from standpipe.runners.fake_names import NamedTask, normalize, tasks_of


class PartlyFakeRunner(LocalRunner):
    """Calls functions for the tasks that a FakeRunner has some for, and runs the other tasks on another runner.

    Args:
        fake: the functions.
        real: runs the other tasks.
    """

    def __init__(self, fake: FakeRunner, real: LocalRunner) -> None:
        self._fake = fake
        self._real = real
        self.executes_code = real.executes_code
        self.in_process = real.in_process
        self.needs_object_store = real.needs_object_store
        self.runs_pods = real.runs_pods
        self.can_pause = real.can_pause
        self._faked: list[Container] = []  # the executors of pipelines so far that no task needs

    def __repr__(self) -> str:
        return f"<{self._fake!r}, and {self._real!r} for other tasks>"

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment variables that the other runner sets for tasks, by name."""
        return self._real.variables

    @property
    def mount_points(self) -> tuple[str, ...] | None:
        """The paths at which tasks of the other runner have volumes."""
        return self._real.mount_points

    def open(self) -> Runner:
        """Make the runner that decides for each task."""
        fake = self._fake.open()
        assert isinstance(fake, FakeTaskRunner), "a FakeRunner opens one"
        return PartlyFakeTaskRunner(fake, self._real.task_runner, self._is_faked)

    @contextmanager
    def running(self) -> Iterator[Runner]:
        """Give the open runner for the length of a run, during which the other runner stays open, too."""
        with self._real.running(), super().running() as runner:
            yield runner

    def workspace_path(self, workspace: Path) -> str:
        """Return the path at which tasks of the other runner see the workspace."""
        return self._real.workspace_path(workspace)

    def check_plan(self, plan: Plan) -> None:
        """Check the pipeline as the other runner does, unless nothing that it refuses is left of it."""
        self._fake.check_plan(plan)
        tasks = list(tasks_of(plan))
        needed = {task.executor for task in tasks if not self._is_always_fake(task)}
        self._faked += [plan.executors[label] for label in {task.executor for task in tasks} - needed]  # type: ignore[misc]
        refused = {*plan.tasks_with_init_containers}
        if not refused or not all(self._is_always_fake(task) for task in tasks if task.name in refused):
            self._real.check_plan(plan)

    def find_user_problems(self, executor: Container, user: int | None, root: Path) -> Iterable[Problem]:
        """Return what the other runner says of an executor, unless functions stand for all of its tasks."""
        return () if self._is_faked(executor) else self._real.find_user_problems(executor, user, root)

    def check_debug(self) -> None:
        """Check that tasks of the other runner can run under a debugger."""
        self._real.check_debug()

    def _is_always_fake(self, task: NamedTask) -> bool:
        return any(map(task.has_general_name, self._fake.functions)) or (normalize(str(task)) in self._fake.functions)

    def _is_faked(self, executor: Container) -> bool:
        return any(executor is each for each in self._faked)


class PartlyFakeTaskRunner:
    """Implements `model.ports.Runner`: a function stands for a task, or another runner runs it.

    Args:
        fake: calls the functions.
        real: runs the other tasks.
        is_faked: returns whether functions stand for all tasks of an executor.
    """

    def __init__(self, fake: FakeTaskRunner, real: Runner, is_faked: Callable[[Container], bool]) -> None:
        self._fake = fake
        self._real = real
        self._checking = real if isinstance(real, CheckingRunner) else None
        self._preparing = real if isinstance(real, PreparingRunner) else None
        self._is_faked = is_faked
        self._calls: dict[RunId, CallInThread] = {}
        self._providers: dict[RunId, FindProviders] = {}

    @contextmanager
    def use_thread(self, run: RunId, call: CallInThread) -> Iterator[None]:
        """Execute attempts and call functions in the thread of a run's caller; see `model.ports.CallerThreadRunner`."""
        self._calls[run] = call
        real = self._real
        try:
            with real.use_thread(run, call) if isinstance(real, CallerThreadRunner) else nullcontext():
                yield
        finally:
            del self._calls[run]

    @contextmanager
    def use_stores(self, run: RunId, find_providers: FindProviders) -> Iterator[None]:
        """Use the credentials of a run; see `artifact_stores.providers.StoreUser`."""
        self._providers[run] = find_providers
        real = self._real
        try:
            with real.use_stores(run, find_providers) if isinstance(real, StoreUser) else nullcontext():
                yield
        finally:
            del self._providers[run]

    @property
    def claims(self) -> ClaimStore:
        """The PVCs of the other runner, if that runs pods; see `model.ports.PodRunner`."""
        assert isinstance(self._real, PodRunner), "`runs_pods` says so"
        return self._real.claims

    @property
    def is_remote(self) -> bool:
        """Whether the other runner moves payloads itself; see `model.ports.RemoteRunner`."""
        return moves_payloads(self._real)

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        """Run one attempt, or call its function; see `model.ports.Runner`."""
        if not self._fake.has_function(request):
            return self._real.run(request, log=log, cancel=cancel)
        if not request.transfers:
            return self._call(request, log, cancel)
        from standpipe.runners.transport.node import provided  # slow to import, and few tests have remote payloads

        with provided(request, cancel, find_providers=self._providers.get(request.run, Providers)):
            return self._call(request, log, cancel)

    def _call(self, request: TaskRequest, log: Log, cancel: Cancellation) -> Outcome:
        call = self._calls.get(request.run)
        if call is None:
            return self._fake.run(request, log=log, cancel=cancel)
        outcomes: list[Outcome] = []
        call(lambda: outcomes.append(self._fake.run(request, log=log, cancel=cancel)))
        return outcomes[0]

    def find_problems(self, executor: Container) -> Iterable[Problem]:
        """Return why an executor's tasks are certain to fail, as far as that is known."""
        return () if self._checking is None or self._is_faked(executor) else self._checking.find_problems(executor)

    def is_prepared(self, executor: Container) -> bool:
        """Return whether nothing has to be built for the tasks of an executor."""
        return self._preparing is None or self._is_faked(executor) or self._preparing.is_prepared(executor)

    def prepare(self, executor: Container, cancel: Cancellation) -> None:
        """Build what the tasks of an executor need."""
        if self._preparing is not None:
            self._preparing.prepare(executor, cancel)

    def check(self, executor: Container, cancel: Cancellation) -> None:
        """Raise what `prepare` would, as far as that is known soon."""
        if self._preparing is not None and not self._is_faked(executor):
            self._preparing.check(executor, cancel)

    def fingerprint(self, request: TaskRequest) -> str:
        """Return the fingerprint of what runs the task."""
        runner: Runner = self._fake if self._fake.has_function(request) else self._real
        return runner.fingerprint(request)

    def capacity(self) -> Capacity:
        """Return the capacity of the other runner."""
        return self._real.capacity()

    def close(self) -> None:
        """Do nothing: the other runner belongs to its caller."""
