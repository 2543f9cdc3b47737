"""Tasks whose packages were imported ahead, each against the same task in a fresh interpreter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from standpipe.model.attempts import Mount, Outcome, PodSettings, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import OwnModule, PythonFunction
from standpipe.runners.process import warm_imports
from standpipe.runners.process.api import SubprocessRunner
from standpipe.runners.process.fork_servers import ForkServer
from standpipe.runners.process.import_store import ImportStore
from standpipe.runners.process.runner import ProcessTaskRunner
from standpipe.runners.process.warm_imports import COLD, Choice, WarmImports
from tests.processes import wait_until
from tests.runners.bench import Bench, Fixed, Kept, value_in
from tests.worker.tasks import interpreter

#: Imports `heavy` and `light`, of which a template is made, and what they bring.
USES = "import heavy.parts, light\n"

PACKAGES = {
    "heavy/__init__.py": "from heavy import core\nimport csv\n",
    "heavy/core.py": "import colorsys\nVALUE = [1]\ndef crash(): import os; os.kill(os.getpid(), 11)\n",
    "heavy/parts.py": "import heavy.lazy\n",
    "heavy/lazy.py": "",
    "light.py": "import heavy.core\n",
    "other.py": "",
}


@dataclass
class Result:
    """What an attempt did: its outcome, what it printed, and what it returned."""

    outcome: Outcome
    log: str
    value: Any


class WarmBench(Bench):
    """A bench whose tasks have an environment with packages of the test's, and warm imports."""

    def __init__(self, folder: Path, packages: Mapping[str, str], python: str | Path = sys.executable) -> None:
        environment = folder / "environment"
        subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
        self.packages = next(environment.glob("lib/python*/site-packages"))
        self.install(packages)
        super().__init__(folder, Fixed(environment / "bin" / "python"))
        self.cold = self.runner
        self.runner = self.make_runner()

    def make_runner(self) -> ProcessTaskRunner:
        """Return a runner that knows what earlier ones have kept, as one of another program does."""
        servers = self.cold._servers
        warm = WarmImports(ImportStore(self.folder / "imports", self.notices.append), servers, self.notices.append)
        return ProcessTaskRunner(
            self.cold._environments, servers=servers, warn=self.notices.append, inform=self.notices.append, warm=warm
        )

    def install(self, packages: Mapping[str, str]) -> None:
        for path, text in packages.items():
            (self.packages / path).parent.mkdir(exist_ok=True, parents=True)
            (self.packages / path).write_text(dedent(text))

    def attempt(self, body: str, *, fresh: bool = False, **how: Any) -> Result:
        """Run a function with this body, which may return a value; `fresh` is in a fresh interpreter."""
        request = self.request("def f() -> list:\n" + "".join(f"  {line}\n" for line in body.splitlines()), **how)
        log, runner = Kept(), self.cold if fresh else self.runner
        outcome = runner.run(request, log=log, cancel=Cancellation())
        return Result(outcome, log.data.decode(), value_in(request) if outcome.succeeded else None)

    def warm(self, body: str, **how: Any) -> Result:
        """Run it a second time, and check that its imports were warm, and those of the first time were not."""
        assert not self.attempt(body, **how).outcome.warm_imports, "the first attempt learns"
        result = self.attempt(body, **how)
        assert result.outcome.warm_imports, (result, self.known())
        return result

    def choose(self, request: TaskRequest) -> Choice:
        """Return how an attempt without variables would get its imports."""
        assert isinstance(self.cold._environments, Fixed)
        return self.runner._choose_imports(self.cold._environments.chosen, request, {})

    def known(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in (self.folder / "imports").glob("*.json")]

    def templates(self) -> list[ForkServer]:
        return [server for server in self.runner._servers._running.values() if server.template]


@pytest.fixture(autouse=True)
def _all_imports_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_imports, "MIN_SAVING", 0.0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WarmBench]:
    bench = WarmBench(tmp_path, PACKAGES)
    yield bench
    bench.runner.close()
    bench.cold.close()


def check_same(bench: WarmBench, body: str, **how: Any) -> Result:
    """Check that a warm attempt prints, returns and ends as a fresh one, and return it."""
    fresh = bench.attempt(body, fresh=True, **how)
    warm = bench.warm(body, **how)
    assert (warm.outcome, warm.log, warm.value) == (fresh.outcome, fresh.log, fresh.value)
    return warm


# --- the same as in a fresh interpreter


def test_a_task_sees_the_modules_that_it_has_imported(bench: WarmBench) -> None:
    body = """
names = lambda: sorted(name for name in sys.modules if not name.startswith('standpipe_worker.'))
before = names()
import light
middle = names()
import heavy.parts
return [before, middle, names(), [hasattr(heavy, 'lazy'), heavy.core.VALUE]]
"""
    result = check_same(bench, body)

    before, middle, after, _ = result.value
    assert {*middle} - {*before} == {"light", "heavy", "heavy.core", "colorsys", "csv", "_csv"} - {*before}
    assert {*after} - {*middle} == {"heavy.parts", "heavy.lazy"}


def test_a_package_has_the_submodules_that_were_imported(bench: WarmBench) -> None:
    """A submodule becomes an attribute of its package when anything imports it: here one that the package does not."""
    bench.install({"deep/__init__.py": "", "deep/inner/__init__.py": "", "deep/inner/last.py": "import deep.second"})
    bench.install({"deep/second.py": ""})
    body = """
seen = lambda: [name for name in ('parts', 'lazy', 'core') if hasattr(sys.modules['heavy'], name)]
def below():
    deep = sys.modules['deep']
    return [hasattr(deep, 'inner'), hasattr(deep, 'second'), hasattr(deep, 'inner') and hasattr(deep.inner, 'last')]
import light
steps = [seen()]
import heavy.parts
steps += [seen(), sorted(name for name in vars(heavy) if not name.startswith('_'))]
import deep
steps.append(below())
import deep.inner
steps.append(below())
import deep.inner.last
return [*steps, below(), deep.inner.last.deep is deep]
"""
    bench.attempt("import heavy.parts, light, deep.inner.last\nreturn []")

    assert check_same(bench, body).value == [
        ["core"],
        ["parts", "lazy", "core"],
        ["core", "csv", "lazy", "parts"],
        [False, False, False],
        [True, False, False],
        [True, True, True],
        True,
    ]


@pytest.mark.parametrize(
    "body",
    [
        "import heavy\nreturn [hasattr(heavy, 'parts'), heavy.core.VALUE]",
        "from heavy import parts, core\nreturn [parts.__name__, parts.__spec__.name, str(parts.__loader__)[:40]]",
        "import heavy.core\nimport importlib\nheavy.core.VALUE.append(2)\nimportlib.reload(heavy.core)\n"
        "return heavy.core.VALUE",
        "import importlib.util\nreturn [importlib.util.find_spec('light').origin, 'light' in sys.modules]",
        "import pickle, heavy.core\nreturn [pickle.loads(pickle.dumps(heavy.core.crash)) is heavy.core.crash]",
        "import light\ndel sys.modules['light']\nsys.modules['light'] = 7\nimport light\nreturn [light]",
        "import light\nfirst = light\ndel sys.modules['light']\nimport light\nreturn [light is first]",
        "import threading\nseen = []\ndef use():\n  import heavy.parts\n  seen.append(heavy.parts.__name__)\n"
        "threads = [threading.Thread(target=use) for _ in range(8)]\n"
        "for thread in threads: thread.start()\nfor thread in threads: thread.join()\nreturn seen",
    ],
)
def test_imports_work_as_ever(bench: WarmBench, body: str) -> None:
    bench.install({"standard.py": ""})
    fresh = bench.attempt("import light\n" + body, fresh=True)
    bench.attempt(USES + "return []")
    bench.warm("import light\n" + body)

    assert bench.attempt("import light\n" + body).value == fresh.value


def test_what_imports_print_is_in_the_log_of_each_task(bench: WarmBench) -> None:
    bench.install(
        {
            "loud.py": """
                import os, sys, warnings
                print('out'); print('err', file=sys.stderr); os.write(1, b'raw\\n')
                warnings.warn('old')
                warnings.warn('deprecated', DeprecationWarning)
                import loud_too
                print('end')
            """,
            "loud_too.py": "print('too', end='')",
        }
    )

    result = check_same(bench, "print('before')\nimport loud\nprint('after')\nimport loud_too\nreturn []")
    assert result.log.count("too") == 1
    assert "UserWarning: old" in result.log


def test_a_warning_names_the_line_of_the_task(bench: WarmBench) -> None:
    bench.install({"stale.py": "import warnings\nwarnings.warn('use fresh', FutureWarning, stacklevel=2)"})
    body = "import heavy\nimport stale\nreturn []"
    fresh = bench.attempt(body, fresh=True)

    for _ in range(3):
        assert bench.attempt(body).log == fresh.log


def test_import_errors_are_those_of_a_fresh_interpreter(bench: WarmBench) -> None:
    bench.install({"broken.py": "import heavy\n1 / 0"})
    body = "import heavy\ntry: import absent\nexcept ImportError as e: print(repr(e))\nimport broken"

    fresh = bench.attempt(body, fresh=True)
    for _ in range(3):
        result = bench.attempt(body)
        assert (result.outcome.detail, result.log) == (fresh.outcome.detail, fresh.log)


def test_tracebacks_are_those_of_a_fresh_interpreter(bench: WarmBench) -> None:
    bench.install({"fails.py": "def call(): return inner()\ndef inner(): raise ValueError('x')"})
    bench.attempt("import fails, heavy\nreturn []")
    body = "import fails, heavy\nimport traceback\ntry: fails.call()\nexcept ValueError: traceback.print_exc()\n"
    check_same(bench, body + "return []")

    bench.attempt(body + "if os.environ.get('FAIL'): fails.call()\nreturn []")
    fresh = bench.attempt(body + "fails.call()", fresh=True)
    assert bench.attempt(body + "fails.call()").outcome.detail == fresh.outcome.detail


def test_exit_handlers_run_in_the_order_of_a_fresh_interpreter(bench: WarmBench) -> None:
    bench.install({"exits.py": "import atexit\nfrom atexit import register\nregister(print, 'package')"})

    result = check_same(
        bench,
        "atexit = __import__('atexit')\natexit.register(print, 'a')\nimport exits\n"
        "atexit.register(print, 'b')\nexits.register(print, 'c')\nreturn []",
    )
    assert result.log == "c\nb\npackage\na\n"


def test_exit_handlers_of_packages_that_a_task_does_not_import_do_not_run(bench: WarmBench) -> None:
    bench.install({"exits.py": "import atexit\natexit.register(print, 'package')"})
    body = "import heavy\nif os.environ['N'] == '1':\n  import exits\nreturn []"
    bench.attempt(body, env={"N": "1"})
    assert bench.attempt(body, env={"N": "1"}).outcome.warm_imports

    assert bench.attempt(body, env={"N": "2"}).log == ""


def test_what_imports_change_is_changed_when_the_task_imports(bench: WarmBench) -> None:
    bench.install(
        {
            "changes.py": """
                import os, sys, warnings
                os.environ['SET'] = 'by import'
                os.environ.pop('GONE', None)
                warnings.simplefilter('always', ImportWarning)
                sys.path.append('/nowhere')
                class Finder:
                    @staticmethod
                    def find_spec(name, path=None, target=None): return None
                sys.meta_path.append(Finder)
            """
        }
    )
    body = """
import warnings
seen = lambda: [os.environ.get('SET'), os.environ.get('GONE'), [str(f) for f in warnings.filters], sys.path[1:],
    [getattr(f, '__name__', '') for f in sys.meta_path if not hasattr(f, 'is_observer')]]
before = seen()
import changes
return [before, seen()]
"""
    before, after = check_same(bench, body, env={"GONE": "still here"}).value

    assert before[:2] == [None, "still here"]
    assert after[:2] == ["by import", None]


def test_a_seed_of_hashes_and_streams_are_as_ever(bench: WarmBench) -> None:
    check_same(
        bench, USES + "import random\nrandom.seed(3)\nreturn [random.random(), sys.stdout.encoding, sys.argv[1:]]"
    )


def test_random_numbers_differ(bench: WarmBench) -> None:
    bench.install({"draws.py": "import random, uuid, tempfile"})
    body = "import draws\nreturn [draws.random.random(), str(draws.uuid.uuid4()), draws.tempfile.mktemp()]"
    bench.warm(body)
    values = [bench.attempt(body).value for _ in range(3)]

    for drawn in zip(*values, strict=True):
        assert len({*drawn}) == 3


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_other_versions_of_python(tmp_path: Path, version: str) -> None:
    bench = WarmBench(tmp_path, PACKAGES, interpreter(version))
    bench.install(
        {"loud.py": "import warnings, atexit\nprint('out')\nwarnings.warn('old')\natexit.register(print, 'end')"}
    )
    body = """
import heavy.parts, light
names = sorted(name for name in sys.modules if not name.startswith('standpipe_worker.'))
import loud
return [names, heavy.core.VALUE]
"""
    check_same(bench, body)
    bench.runner.close()
    bench.cold.close()


# --- isolation


def test_a_task_changes_nothing_for_the_next(bench: WarmBench) -> None:
    body = """
import heavy.parts, light
state = [heavy.core.VALUE[:], '/mine' in sys.path, hasattr(light, 'patched'), os.environ.get('MINE')]
heavy.core.VALUE.append(2); light.patched = 1; sys.path.append('/mine'); os.environ['MINE'] = '1'
os.chdir('/'); sys.modules.pop('heavy'); memory = bytearray(30_000_000)
os.closerange(3, 100)
return state
"""
    expected = bench.attempt(body, fresh=True).value
    for _ in range(4):
        assert bench.attempt(body).value == expected


def test_a_task_has_no_descriptors_of_the_template(bench: WarmBench) -> None:
    check_same(bench, USES + "return [len(os.listdir('/proc/self/fd'))]")


# --- the environment


def test_another_value_of_a_variable_is_another_template(bench: WarmBench) -> None:
    bench.install({"reads.py": "import os\nVALUE = os.environ.get('SETTING')"})
    body = "import reads\nreturn [reads.VALUE]"
    values = [bench.attempt(body, env={"SETTING": value}) for value in "aababbaab"]

    assert "".join(result.value[0] for result in values) == "aababbaab"
    assert [result.outcome.warm_imports for result in values][-3:] == [True] * 3
    assert len(bench.templates()) == 2


def test_each_with_a_value_of_its_own_starts_no_templates(bench: WarmBench) -> None:
    bench.warm("import light\nreturn []", env={"NUMBER": "0"})
    for number in "1234":
        assert not bench.attempt("import light\nreturn []", env={"NUMBER": number}).outcome.warm_imports

    assert len(bench.templates()) == 1


def test_the_number_of_a_retry_needs_no_template_of_its_own(bench: WarmBench) -> None:
    body = "import light\nreturn [os.environ['KFP_RETRY_INDEX']]"
    bench.warm(body)
    result = bench.attempt(body, retry_index=3)

    assert (result.value, result.outcome.warm_imports) == (["3"], True)


@pytest.mark.parametrize(
    "change",
    [
        "os.environ['X'] = '1'",
        "os.environ.pop('HOME', None)",
        "os.chdir('/')",
        "sys.path.insert(0, '/nowhere')",
        "open('settings.cfg', 'w').close()",
        "sys.meta_path.append(type(sys)('finder'))",
        "__import__('warnings').simplefilter('error')",
    ],
)
def test_imports_after_a_change_of_what_they_depend_on_are_cold(bench: WarmBench, change: str) -> None:
    body = f"import light\n{change}\nimport other\nreturn []"
    bench.attempt(body)

    (known,) = bench.known()
    assert "light" in known["seconds"]
    assert "other" not in known["seconds"]


def test_a_change_that_one_attempt_did_not_make_counts_as_well(bench: WarmBench) -> None:
    bench.attempt("if os.environ.get('N') == '2':\n  os.environ['X'] = '1'\nimport light\nreturn []")

    (known,) = bench.known()
    assert "light" not in known["seconds"]


def test_a_change_in_a_library_is_noticed_and_not_repeated(bench: WarmBench) -> None:
    bench.install({"settings.py": "def apply():\n  import os\n  os.environ['X'] = '1'"})
    body = "import settings\nif os.path.exists('{0}'): settings.apply()\nimport light\nreturn []"
    body = body.format(bench.folder / "switch")
    bench.warm(body)
    (bench.folder / "switch").touch()

    assert bench.attempt(body).outcome.warm_imports
    assert any("before it changed variables" in notice for notice in bench.notices)
    assert not bench.attempt(body).outcome.warm_imports


def test_hidden_warnings_stay_hidden(bench: WarmBench) -> None:
    bench.install({"warns.py": "import warnings\nwarnings.warn('old')"})
    quiet = "import warnings\nwarnings.filterwarnings('ignore')\n"
    body = quiet + "import warns\nreturn []"
    for _ in range(3):
        assert bench.attempt(body).log == ""
    assert check_same(bench, quiet + "import light\nreturn []").log == ""


def test_secrets_are_never_in_a_template(bench: WarmBench) -> None:
    body = "import light\nreturn [len(os.environ['PASSWORD'])]"
    bench.warm("import light\nreturn []")
    log = Kept()
    for _ in range(3):
        request = bench.request("def f() -> list:\n" + "".join(f"  {line}\n" for line in body.splitlines()))
        request = _with_pod(request, PodSettings(env={"PASSWORD": "correct-horse"}))
        outcome = bench.runner.run(request, log=log, cancel=Cancellation())
        assert outcome.succeeded, log.data
        assert not outcome.warm_imports
    for server in bench.templates():
        assert b"correct-horse" not in Path(f"/proc/{server._process.pid}/environ").read_bytes()


def _with_pod(request: TaskRequest, pod: PodSettings) -> TaskRequest:
    return replace(request, pod=pod)


# --- the life of templates


def test_the_next_program_knows_what_the_last_one_has_learned(bench: WarmBench) -> None:
    bench.warm("import light\nreturn []")
    bench.runner.close()
    bench.runner = bench.make_runner()

    assert bench.attempt("import light\nreturn []").outcome.warm_imports


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[" * 60_000, b'{"seconds": {"a b": 1}, "quiet": [], "problem": ""}', b"[]", b"{}"]
)
def test_a_corrupt_file_is_learned_anew(bench: WarmBench, content: bytes) -> None:
    bench.warm("import light\nreturn []")
    for file in (bench.folder / "imports").iterdir():
        file.write_bytes(content)
    bench.runner = bench.make_runner()

    bench.warm("import light\nreturn []")
    assert len([notice for notice in bench.notices if "cannot be read" in notice]) == 1


def test_other_components_share_a_template_of_some_of_their_imports(bench: WarmBench) -> None:
    bench.warm("import heavy\nreturn []")
    bench.attempt("import heavy\nimport light\nreturn [1]")
    assert bench.attempt("import heavy\nimport light\nreturn [1]").outcome.warm_imports


def test_imports_that_one_attempt_does_without_are_not_needed(bench: WarmBench) -> None:
    body = "import heavy\nif not os.path.exists('{}'):\n  import other\nreturn []".format(bench.folder / "switch")
    bench.warm(body)
    (bench.folder / "switch").touch()
    assert bench.attempt(body).outcome.warm_imports

    (known,) = bench.known()
    assert "heavy" in known["seconds"]
    assert "other" not in known["seconds"]


@pytest.mark.parametrize(
    ("package", "problem"),
    [
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "thread"),
        ("import os\nFD = os.open('/etc/hostname', os.O_RDONLY)", "open"),
        ("import socket\nSOCKET = socket.socket()", "open"),
        ("import subprocess\nP = subprocess.Popen(['sleep', '60'])", "process"),
        ("import copy\ncopy.copy = print", "copy.copy"),
        ("import os\nos.chdir('/')", "working directory"),
        ("import sys\nsys.path.clear()", "remove"),
        ("import sys\nsys.modules['json'] = sys", "replace"),
    ],
)
def test_an_import_that_a_fork_cannot_have_is_cold(bench: WarmBench, package: str, problem: str) -> None:
    bench.install({"unsafe.py": package})
    for _ in range(3):
        result = bench.attempt("import unsafe\nreturn []")
        assert (result.outcome, result.outcome.warm_imports) == (Outcome(exit_code=0), False)

    assert problem in bench.known()[0]["problem"]
    wait_until(lambda: all(server.has_ended for server in bench.templates()))


def test_modules_from_elsewhere_are_not_imported_ahead(bench: WarmBench) -> None:
    elsewhere = bench.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text("import light\nVALUE = 1")
    (bench.packages / "editable.pth").write_text(str(elsewhere))
    assert bench.warm("import mine\nreturn [mine.VALUE]").value == [1]
    (elsewhere / "mine.py").write_text("import light\nVALUE = 22")

    assert bench.attempt("import mine\nreturn [mine.VALUE]").value == [22]
    assert "mine" not in bench.known()[0]["seconds"]
    assert "light" in bench.known()[0]["seconds"]


def run_with_module(bench: WarmBench, source: str) -> Result:
    request = bench.request("def f() -> list:\n  import mine\n  return [mine.VALUE]\n")
    assert isinstance(request.program, PythonFunction)
    program = replace(request.program, modules=(OwnModule("mine", source, "/src/mine.py"),))
    log = Kept()
    outcome = bench.runner.run(replace(request, program=program), log=log, cancel=Cancellation())
    return Result(outcome, log.data.decode(), value_in(request) if outcome.succeeded else None)


def test_what_a_module_of_the_author_imports_is_imported_ahead_and_the_module_is_not(bench: WarmBench) -> None:
    first, second = (run_with_module(bench, "import light\nVALUE = 1") for _ in range(2))

    assert (first.value, second.value) == ([1], [1])
    assert (first.outcome.warm_imports, second.outcome.warm_imports) == (False, True)
    assert "light" in bench.known()[0]["seconds"]
    assert "mine" not in bench.known()[0]["seconds"]
    assert run_with_module(bench, "import light\nVALUE = 22").value == [22]


def test_a_module_of_the_author_that_changes_what_imports_depend_on_is_cold(bench: WarmBench) -> None:
    source = "import os\nos.environ['A'] = 'b'\nimport light\nVALUE = 1"

    assert not any(run_with_module(bench, source).outcome.warm_imports for _ in range(2))
    assert bench.notices == []


def test_a_death_by_a_signal_is_explained_and_the_component_is_cold_from_then_on(bench: WarmBench) -> None:
    body = "import heavy\nif os.path.exists('{}'): heavy.core.crash()\nreturn []".format(bench.folder / "switch")
    bench.warm(body)
    (bench.folder / "switch").touch()

    died = bench.attempt(body).outcome
    assert (died.signal, died.warm_imports) == (signal.SIGSEGV, True)
    assert "SubprocessRunner(warm_imports=False)" in died.hint
    assert "STANDPIPE_WARM_IMPORTS=0" in died.hint
    cold = bench.attempt(body).outcome
    assert (cold.signal, cold.warm_imports, cold.hint) == (signal.SIGSEGV, False, "")
    bench.runner = bench.make_runner()
    assert not bench.attempt(body).outcome.warm_imports, "the next program knows it as well"


def test_a_task_that_is_killed_by_its_own_failure_is_warm_again(bench: WarmBench) -> None:
    body = "import heavy\nif os.path.exists('{}'): sys.exit(3)\nreturn []".format(bench.folder / "switch")
    bench.warm(body)
    (bench.folder / "switch").touch()

    assert [bench.attempt(body).outcome.warm_imports for _ in range(2)] == [True, True]


def test_a_template_that_was_killed_is_replaced(bench: WarmBench) -> None:
    body = "import light\nreturn []"
    bench.warm(body)
    (template,) = bench.templates()
    os.kill(template._process.pid, signal.SIGKILL)
    wait_until(lambda: template.has_ended)

    assert bench.attempt(body).outcome.warm_imports
    assert bench.templates() != [template]


def test_a_task_whose_template_is_killed_fails(bench: WarmBench) -> None:
    body = "import light\nif os.path.exists('{0}'): os.kill(os.getppid(), 9); time.sleep(60)\nreturn []"
    body = body.format(bench.folder / "switch")
    bench.warm(body)
    (bench.folder / "switch").touch()

    assert "has died" in bench.attempt(body).outcome.problem


def test_a_template_that_dies_while_it_imports_is_not_needed(bench: WarmBench) -> None:
    bench.install({"dies.py": "import os\nos.environ.get('KFP_RETRY_INDEX') or os.kill(os.getpid(), 9)"})
    for _ in range(3):
        assert bench.attempt("import dies\nreturn []").outcome == Outcome(exit_code=0)

    assert "dies" in bench.known()[0]["problem"]


def test_a_template_that_hangs_delays_its_tasks_once(bench: WarmBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_imports, "_START_SECONDS", 0.5)
    bench.install({"hangs.py": "import os, time\nos.environ.get('KFP_RETRY_INDEX') or time.sleep(600)"})
    body = "import hangs\nreturn []"
    for _ in range(3):
        result = bench.attempt(body).outcome
        assert (result, result.warm_imports) == (Outcome(exit_code=0), False)

    request = bench.request("def f() -> list:\n" + "".join(f"  {line}\n" for line in body.splitlines()))
    assert bench.choose(request) == COLD
    bench.runner.close()
    assert not bench.templates()


def test_a_start_that_was_late_on_a_busy_machine_does_not_count_for_the_next_program(
    bench: WarmBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.install({"waits.py": "import os, time\nos.environ.get('KFP_RETRY_INDEX') or time.sleep(1)"})
    body = "import waits\nreturn []"
    with monkeypatch.context() as patch:
        patch.setattr(warm_imports, "_START_SECONDS", 0.2)
        for _ in range(4):
            assert not bench.attempt(body).outcome.warm_imports
    bench.runner.close()
    bench.runner = bench.make_runner()
    monkeypatch.setattr(warm_imports, "_START_SECONDS", 60.0)

    assert bench.attempt(body).outcome.warm_imports


def test_a_run_is_cancelled_while_its_template_starts(bench: WarmBench) -> None:
    bench.install({"hangs.py": "import os, time\nos.environ.get('KFP_RETRY_INDEX') or time.sleep(600)"})
    bench.attempt("import hangs\nreturn []")
    cancel = Cancellation()
    with ThreadPoolExecutor() as pool:
        request = bench.request("def f() -> list:\n  import hangs\n  return []\n")
        bench.attempt("import hangs\nreturn []")
        running = pool.submit(bench.runner.run, request, log=Kept(), cancel=cancel)
        wait_until(lambda: bool(bench.templates()))
        cancel.set()

        assert not running.result(timeout=20).succeeded


def test_little_free_memory_starts_no_template(bench: WarmBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_imports, "is_memory_scarce", lambda: True)
    bench.attempt("import light\nreturn []")
    assert not bench.attempt("import light\nreturn []").outcome.warm_imports


# --- whether at all


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SubprocessRunner().open()._warm is not None  # type: ignore[attr-defined]
    assert SubprocessRunner(warm_imports=False).open()._warm is None  # type: ignore[attr-defined]
    monkeypatch.setenv("STANDPIPE_WARM_IMPORTS", "0")
    assert SubprocessRunner().open()._warm is None  # type: ignore[attr-defined]


def test_tasks_with_volumes_are_cold(bench: WarmBench) -> None:
    request = bench.request("def f(): import light")
    mounted = _with_pod(request, PodSettings(mounts=(Mount(bench.folder, "/mnt/x"),)))

    assert bench.choose(request).learn
    assert bench.choose(mounted) == COLD


def test_a_task_without_imports_learns_once(bench: WarmBench) -> None:
    request = bench.request("def f() -> int: return 1")
    assert bench.choose(request).learn
    bench.runner.run(request, log=Kept(), cancel=Cancellation())

    assert not bench.choose(request).learn


def test_a_function_that_an_import_replaces_is_replaced_when_the_task_imports(bench: WarmBench) -> None:
    bench.install({"patches.py": "import copy\ndef mine(x): return 'mine'\ncopy.copy = mine"})
    body = "import copy\nbefore = copy.copy('x')\nimport patches\nreturn [before, copy.copy('x')]"

    assert check_same(bench, body).value == ["x", "mine"]
