"""Which template process a task is forked from: one that has imported already what the task will import."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.plan import PythonFunction
from standpipe.runners.process.fork_servers import ForkServers, Template, changed_at, shared_servers
from standpipe.runners.process.import_order import changes_imports, safe_imports
from standpipe.runners.process.import_store import ImportStore, KnownImports, component_key
from standpipe.runners.process.template_start import TemplateStart
from standpipe.support.forking import register_object
from standpipe.support.notices import Notice, warn
from standpipe.support.user_dirs import cache_folder
from standpipe.worker.memory_pressure import is_memory_scarce

#: The CPU time of imports, in seconds, that a template has to save: less is not worth a process.
MIN_SAVING = 0.05

#: Variables that differ from one attempt to the next, and that no import reads.
_OWN_VARIABLES = ("KFP_RETRY_INDEX", "MLFLOW_RUN_ID")

#: How long a template may take: some seconds, and a multiple of the CPU time that its imports have taken in a task.
_START_SECONDS = 10.0
_SLOWDOWN = 5.0

#: After how many templates that died or took too long a component is not warmed any more.
_MAX_FAILURES = 2

#: The most components and environments that are remembered for a program.
_MAX_SEEN = 10_000

_SWITCH = "local.SubprocessRunner(warm_imports=False) or STANDPIPE_WARM_IMPORTS=0 makes each task import them itself."


@dataclass(frozen=True)
class Choice:
    """How an attempt gets its imports: from a `template`, and otherwise by itself, and perhaps to `learn` them."""

    key: str = ""
    template: Template | None = None
    learn: bool = False


#: An attempt that imports everything itself, and of which nothing is learned.
COLD = Choice()


class WarmImports:
    """Learns what components import, and chooses the templates of their tasks.

    Args:
        store: what is known about components.
        servers: the fork servers, some of which are templates.
        warn: called with what went wrong.
    """

    def __init__(self, store: ImportStore, servers: ForkServers, warn: Notice) -> None:
        self._store = store
        self._servers = servers
        self._warn = warn
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._first: OrderedDict[str, bytes] = OrderedDict()
        self._failures: dict[str, int] = {}
        register_object(self)

    def after_fork_in_child(self) -> None:
        """Make new locks: threads that are not in this process may hold the old ones."""
        self._lock = threading.Lock()
        self._store.after_fork_in_child()

    def choose(
        self, python: Path, function: PythonFunction, request: TaskRequest, env: Mapping[str, str], user: object
    ) -> Choice:
        """Return how an attempt gets its imports.

        Args:
            python: its interpreter.
            function: its program.
            request: the attempt.
            env: all of its environment variables.
            user: its runner.
        """
        if not _is_eligible(request, env):
            return COLD
        key = component_key(python, changed_at(python), function.name, _program_text(function))
        known = self._store.get(key)
        if known is not None and (known.problem or known.cost < MIN_SAVING):
            return COLD
        variables = {name: value for name, value in env.items() if name not in _OWN_VARIABLES}
        is_repeated = self._note(key, variables)
        if known is None:
            return Choice(key, learn=True)
        template = self._choose_template(python, known, variables, user, may_start=is_repeated)
        return Choice(key, template) if template else COLD

    def learn(self, choice: Choice, function: PythonFunction, report: Mapping[str, Any]) -> None:
        """Learn from an attempt that succeeded.

        Args:
            choice: how it got its imports.
            function: its program.
            report: what it has imported, as `replies.py` has checked it.
        """
        known = self._store.get(choice.key)
        if choice.template is None:
            seconds = {name: cost for name, cost, _ in report["imports"]}
            safe = _safe_imports(function, seconds)
            quiet = frozenset(name for name, _, is_quiet in report["imports"] if is_quiet)
            learned = KnownImports({name: seconds[name] for name in safe}, quiet & {*safe})
            self._store.put(choice.key, known.restrict(learned.names) if known else learned)
        elif known is None:
            return
        elif report["late"]:
            self._refuse(choice.key, "in some attempts it changes what its imports depend on, and in others not")
            self._warn(
                f"The packages of {function.name!r} were imported before it changed variables, paths or the working "
                f"directory, on which these imports may depend. Its next tasks import them themselves. {_SWITCH}"
            )
        elif report["unused"]:
            self._store.put(choice.key, known.restrict(name for name in known.names if name not in report["unused"]))

    def is_usable(self, choice: Choice, start: TemplateStart) -> bool:
        """Return whether a template that has ended its start can be used; remember why if it cannot."""
        if start.refusal:
            self._refuse(choice.key, start.refusal)
        elif start.is_ready:
            known = self._store.get(choice.key)
            if known is not None and known.quiet.isdisjoint(start.printing):
                return True
            self._refuse(choice.key, "its imports print something, which some of its attempts have switched off before")
        else:
            self._count_failure(choice.key, start)
        return False

    def _count_failure(self, key: str, start: TemplateStart) -> None:
        """Count a template that has died or taken too long, once, however many tasks have waited for it.

        The machine may only have been busy, so it takes several of them to give up.
        """
        with self._lock:
            if start.is_counted:
                return
            start.is_counted = True
            self._failures[key] = failures = self._failures.get(key, 0) + 1
        if failures < _MAX_FAILURES:
            return
        if start.is_late:  # perhaps because the machine is busy, which says nothing about later programs
            self._refuse(key, "its imports take much longer in a template than in a task", lasts=False)
        else:
            self._refuse(key, "the process that imports its packages dies")

    def explain_death(self, choice: Choice, outcome: Outcome) -> Outcome:
        """Return the outcome of a task that a signal has ended, with a hint, if its imports were warm.

        The component is not warmed again until its packages change.
        """
        self._refuse(choice.key, f"one of its tasks was killed by signal {outcome.signal} after warm imports")
        hint = (
            f"Its packages were imported before it was forked (warm imports). If that is the reason: {_SWITCH} "
            "Its next tasks do that already."
        )
        return replace(outcome, hint="\n\n".join(filter(None, (outcome.hint, hint))))

    def _choose_template(
        self, python: Path, known: KnownImports, variables: Mapping[str, str], user: object, *, may_start: bool
    ) -> Template | None:
        """Return the template that saves most; one that has to start is waited for unless another saves half."""
        complete = Template(known.names, variables, _START_SECONDS + _SLOWDOWN * known.cost)
        best, saving = None, 0.0
        for server in self._servers.templates(python):
            other, start = server.template, server.start
            assert other is not None, "these servers have templates"
            assert start is not None, "and a start"
            fits = other.variables == variables and {*other.imports} <= {*known.names}
            if fits and known.quiet.isdisjoint(start.printing) and known.saving(other.imports) > saving:
                best, saving = other, known.saving(other.imports)
        if known.cost - saving < MIN_SAVING or not may_start or is_memory_scarce():
            return best if saving >= MIN_SAVING else None
        if saving < known.cost / 2:
            return complete
        self._servers.start(python, user, complete)
        return best

    def _note(self, key: str, variables: Mapping[str, str]) -> bool:
        """Note the variables of a component; return whether more of its tasks are likely to have the same ones.

        They are if these are the first ones in this program, or were noted before. A loop whose tasks have variables of
        their own would start a template for each.
        """
        digest = hashlib.sha256(repr(sorted(variables.items())).encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            is_repeated = (key, digest) in self._seen or self._first.setdefault(key, digest) == digest
            self._seen[key, digest] = None
            for remembered in (self._seen, self._first):
                if len(remembered) > _MAX_SEEN:
                    remembered.popitem(last=False)
            return is_repeated

    def _refuse(self, key: str, problem: str, *, lasts: bool = True) -> None:
        """Remember that a component is not warmed any more, also in later programs if that `lasts`."""
        self._store.put(key, replace(self._store.get(key) or KnownImports(), problem=problem), lasts=lasts)


def _program_text(function: PythonFunction) -> str:
    """Return the text on which the imports of a component depend: its program, and the author's modules in it."""
    return "\0".join((function.source, *(each.source for each in function.modules)))


def _safe_imports(function: PythonFunction, names: Iterable[str]) -> list[str]:
    """Return the imports that come before anything that changes what they depend on.

    The order in which the author's modules run is not known: if one of them changes something, it may be the first.
    """
    if any(changes_imports(each.source) for each in function.modules):
        return []
    return safe_imports(function.source, names)


def _is_eligible(request: TaskRequest, env: Mapping[str, str]) -> bool:
    """Return whether the imports of a task can be warm at all."""
    pod = request.pod
    # Its variables may be secrets, which must not be in a process that other tasks share; its volumes may hold files
    # that imports read. Packages read the number of cores that they may use when they are imported.
    is_plain = not pod.env and not pod.mounts
    return is_plain and (request.limits.cpu is None or "OMP_NUM_THREADS" in env)


@lru_cache(maxsize=1)
def shared_warm_imports() -> WarmImports:
    """Return what all runners of this process share, as they share its fork servers."""
    return WarmImports(ImportStore(Path(cache_folder(), "imports"), warn), shared_servers, warn)
