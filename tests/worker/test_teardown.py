"""The end of a task's process: whatever a Python process leaves that ends normally is there."""

from __future__ import annotations

import gzip
import signal
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from standpipe.model.attempts import Outcome
from standpipe.model.cancellation import Cancellation
from tests.runners.bench import Bench, Fixed, Kept
from tests.worker.tasks import interpreter


@pytest.fixture(params=["3.9", "current"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, Fixed(interpreter(request.param)))
    yield bench
    bench.runner.close()


def read_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as file:
        return file.read("member").decode()


def read_gzip(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


def read_database(path: Path) -> str:
    assert not path.with_name(f"{path.name}-wal").exists()
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("select * from t").fetchone()[0])


OPEN = "file = open(path, 'w'); file.write('rows')"

PENDING: dict[str, tuple[str, Callable[[Path], str]]] = {
    "a global file": (f"global file; {OPEN}", Path.read_text),
    "a binary file without a name": ("sys.mine = [open(path, 'wb')]; sys.mine[0].write(b'rows')", Path.read_text),
    "an attribute of a module": ("import json; json.file = open(path, 'w'); json.file.write('rows')", Path.read_text),
    "an attribute of a class that was imported before": (
        "import json; json.JSONEncoder.file = open(path, 'w'); json.JSONEncoder.file.write('rows')",
        Path.read_text,
    ),
    "a context variable": (
        f"import contextvars; {OPEN}; contextvars.ContextVar('v').set(file)",
        Path.read_text,
    ),
    "a compressed file": (
        "import gzip; global file; file = gzip.open(path, 'wt'); file.write('rows')",
        read_gzip,
    ),
    "an archive in a cycle": (
        "import zipfile; z = zipfile.ZipFile(path, 'w'); z.itself = z; z.writestr('member', 'rows')",
        read_zip,
    ),
    "a csv writer": (
        "import csv; global writer; writer = csv.writer(open(path, 'w')); writer.writerow(['rows'])",
        lambda path: path.read_text().strip(),
    ),
    "a database with a log": (
        "import sqlite3; global db; db = sqlite3.connect(path); db.execute('pragma journal_mode=wal');"
        "db.execute('create table t(c)'); db.execute('insert into t values (?)', ['rows']); db.commit()",
        read_database,
    ),
    "a generator": (
        "import os; global suspended\n"
        "    def generate(write=os.write, fd=os.open(path, os.O_CREAT | os.O_WRONLY)):\n"
        "        try:\n            yield\n"
        "        finally:\n            write(fd, b'rows')\n"
        "    suspended = generate(); next(suspended)",
        Path.read_text,
    ),
    "a finalizer that the collector does not see": (
        "import os; global last\n"
        "    class Last:\n"
        "        __slots__ = ()\n"
        "        def __del__(self, write=os.write, fd=os.open(path, os.O_CREAT | os.O_WRONLY)):\n"
        "            write(fd, b'rows')\n"
        "    last = Last()",
        Path.read_text,
    ),
    "a finalizer of weakref": (
        "import weakref; global item; item = {1}; weakref.finalize(item, open(path, 'w').write, 'rows')",
        Path.read_text,
    ),
    "an exit handler": ("import atexit; atexit.register(lambda: open(path, 'w').write('rows'))", Path.read_text),
    "an exit handler after one that fails": (
        "import atexit; atexit.register(lambda: open(path, 'w').write('rows')); atexit.register(int, 'x')",
        Path.read_text,
    ),
    "a log": (
        "import logging; logging.basicConfig(filename=path, format='%(message)s'); logging.warning('rows')",
        lambda path: path.read_text().strip(),
    ),
    "a log with a buffer": (
        "import logging.handlers; to = logging.FileHandler(path); to.terminator = ''\n"
        "    logging.getLogger().addHandler(logging.handlers.MemoryHandler(99, target=to)); logging.warning('rows')",
        Path.read_text,
    ),
    "a thread": (
        "import threading; threading.Timer(0.2, lambda: open(path, 'w').write('rows')).start()",
        Path.read_text,
    ),
    "a pool of threads": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "    ThreadPoolExecutor().submit(lambda: [time.sleep(0.2), open(path, 'w').write('rows')])",
        Path.read_text,
    ),
    "a child process": (
        "import multiprocessing\n"
        "    def write():\n        time.sleep(0.2); open(path, 'w').write('rows')\n"
        "    multiprocessing.get_context('fork').Process(target=write).start()",
        Path.read_text,
    ),
}


@pytest.mark.parametrize("case", PENDING)
def test_what_is_pending_at_the_end_is_written(bench: Bench, tmp_path: Path, case: str) -> None:
    body, read = PENDING[case]
    path = tmp_path / "out"

    outcome, log = bench.run(f"def f(path: str):\n    {body}\n", {"path": str(path)})

    assert outcome.succeeded, log
    assert read(path) == "rows"


@pytest.mark.parametrize(("end", "code"), [("sys.exit(0)", 0), ("sys.exit(3)", 3), ("raise ValueError", 1)])
def test_it_is_written_however_the_function_ends(bench: Bench, tmp_path: Path, end: str, code: int) -> None:
    path = tmp_path / "out"

    outcome, _ = bench.run(f"def f(path: str):\n    global file\n    {OPEN}\n    {end}\n", {"path": str(path)})

    assert outcome.exit_code == code
    assert path.read_text() == "rows"


def test_an_output_parameter_that_is_left_open(bench: Bench) -> None:
    request = bench.request("def f(path: OutputPath(str)):\n    global file\n    " + OPEN)
    file = request.folder / "path"
    request.executor_input["outputs"]["parameters"] = {"path": {"outputFile": str(file)}}

    assert bench.runner.run(request, log=Kept(), cancel=Cancellation()).succeeded
    assert file.read_text() == "rows"


def test_text_that_c_code_has_printed(bench: Bench) -> None:
    body = "import ctypes\n    def f(): ctypes.CDLL(None).printf(b'from C')\n    f(); import gc; gc.collect()"

    outcome, log = bench.run("def f():\n    " + body)
    assert outcome.succeeded
    assert log == "from C"


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("os._exit(7)", Outcome(exit_code=7)),
        ("os.kill(os.getpid(), signal.SIGKILL)", Outcome(signal=signal.SIGKILL)),
    ],
)
def test_what_ends_the_process_meanwhile_is_how_the_task_ends(bench: Bench, source: str, outcome: Outcome) -> None:
    ended, _ = bench.run(
        f"class Last:\n    def __del__(self, os=os, signal=signal):\n        {source}\nlast = Last()\ndef f(): ''"
    )

    assert (ended.exit_code, ended.signal) == (outcome.exit_code, outcome.signal)


@pytest.mark.parametrize("source", ["raise ValueError", "sys.exit(3)"])
def test_an_exit_handler_that_fails_is_printed_and_nothing_else(bench: Bench, source: str) -> None:
    body = f"import atexit\n    def last():\n        {source}\n    atexit.register(last)"

    outcome, log = bench.run("def f():\n    " + body)

    assert outcome.exit_code == 0
    assert ("ValueError" in log) == (source == "raise ValueError")


@pytest.mark.parametrize("source", ["sys.stdout.close()", "sys.stdout = None", "sys.stdout = sys.stderr"])
def test_standard_streams_may_be_closed_or_replaced(bench: Bench, source: str) -> None:
    assert bench.run(f"def f():\n    {source}")[0].exit_code == 0


@pytest.mark.parametrize("source", ["print('x', end=''); os.close(1)", "sys.stdout = 3"])
def test_standard_output_that_cannot_be_written_fails_the_task_as_in_python(
    monkeypatch: pytest.MonkeyPatch, bench: Bench, source: str
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # it would leave nothing to be written
    outcome, _ = bench.run(f"def f():\n    {source}")

    assert outcome.exit_code == 120


@pytest.mark.parametrize(("end", "code"), [("pass", 0), ("sys.exit(3)", 3)])
def test_a_task_may_close_all_descriptors_as_a_daemon_does(bench: Bench, end: str, code: int) -> None:
    assert bench.run(f"def f():\n    os.closerange(3, 4096)\n    {end}")[0].exit_code == code
