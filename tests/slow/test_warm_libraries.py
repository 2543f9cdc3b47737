"""Tasks that are forked after the imports of real libraries, against the same tasks in fresh interpreters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from standpipe.runners.process import warm_imports
from standpipe.runners.process.venv import Venvs
from tests.runners.bench import Bench, Fixed
from tests.runners.process.test_warm_imports import WarmBench, check_same
from tests.wheels import function

pytestmark = pytest.mark.slow


class LibraryBench(WarmBench):
    """A bench whose tasks have real libraries."""

    def __init__(self, folder: Path, python: Path) -> None:
        Bench.__init__(self, folder, Fixed(python))
        self.cold = self.runner
        self.runner = self.make_runner()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    libraries = function("pandas", "scikit-learn", "h5py", "pyarrow", "duckdb")
    return Venvs(tmp_path_factory.mktemp("envs")).python(libraries, inform=print)


@pytest.fixture
def bench(tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LibraryBench]:
    monkeypatch.setattr(warm_imports, "MIN_SAVING", 0.0)  # some of the imports take less on a fast machine
    bench = LibraryBench(tmp_path, python)
    yield bench
    bench.runner.close()
    bench.cold.close()


DRAWS = {
    "numpy": "import numpy\nreturn numpy.random.rand(3).tolist()",
    "numpy with a generator": "import numpy\nreturn numpy.random.default_rng().random(3).tolist()",
    "pandas": "import pandas\nreturn pandas.Series(range(10**6)).sample(3).tolist()",
    "scipy": "import scipy.stats\nreturn scipy.stats.norm.rvs(size=3).tolist()",
    "scikit-learn": (
        "from sklearn.model_selection import train_test_split\n"
        "return [int(item) for item in train_test_split(range(10**6))[0][:3]]"
    ),
    "a forest": (
        "from sklearn.ensemble import RandomForestClassifier\n"
        "return [tree.random_state for tree in RandomForestClassifier(3).fit([[0], [1]], [0, 1])]"
    ),
    "python": "import pandas, random\nreturn [random.random()]",
    "uuid": "import pandas, uuid\nreturn [str(uuid.uuid1()), str(uuid.uuid4())]",
    "tempfile": "import pandas, tempfile\nreturn [tempfile.mktemp()]",
    "multiprocessing": "import pandas, multiprocessing\nreturn [multiprocessing.current_process().authkey.hex()]",
}


@pytest.mark.parametrize("case", DRAWS)
def test_no_two_tasks_draw_the_same_numbers(bench: LibraryBench, case: str) -> None:
    first = bench.warm(DRAWS[case])
    results = [first, *(bench.attempt(DRAWS[case]) for _ in range(2))]

    assert all(result.outcome.warm_imports for result in results)
    assert len({str(result.value) for result in results}) == 3


SEEDS = {
    "numpy": "import numpy\nnumpy.random.seed(7)\nreturn numpy.random.normal(size=3).tolist()",
    "pandas": "import pandas\nreturn pandas.Series(range(10**6)).sample(3, random_state=7).tolist()",
    "scikit-learn": (
        "import numpy\nfrom sklearn.ensemble import RandomForestClassifier\nnumpy.random.seed(7)\n"
        "return [tree.random_state for tree in RandomForestClassifier(3).fit([[0], [1]], [0, 1])]"
    ),
    "python": "import pandas, random\nrandom.seed(7)\nreturn [random.random()]",
}


@pytest.mark.parametrize("case", SEEDS)
def test_a_seed_gives_the_numbers_of_a_fresh_interpreter(bench: LibraryBench, case: str) -> None:
    check_same(bench, SEEDS[case])


OPEN_FILES = {
    "h5py": "import h5py\nglobal f; f = h5py.File('a.h5', 'w'); f['x'] = list(range(1000))",
    "a dataset of h5py": "import h5py\nglobal d; d = h5py.File('a.h5', 'w').create_dataset('x', (10,)); d[3] = 5",
    "a writer of Parquet": (
        "import pyarrow, pyarrow.parquet\nglobal w; t = pyarrow.table({'a': [1, 2]})\n"
        "w = pyarrow.parquet.ParquetWriter('a.parquet', t.schema); w.write_table(t)"
    ),
    "a compressed stream of Arrow": (
        "import pyarrow\nglobal w; w = pyarrow.output_stream('a.gz', compression='gzip'); w.write(b'x' * 1000)"
    ),
    "a stream of Arrow that a module has": (
        "import pyarrow\nw = pyarrow.output_stream('a', buffer_size=4096); w.write(b'x' * 1000); sys.mine = [w]"
    ),
    "duckdb": "import duckdb\nglobal c; c = duckdb.connect('a.db'); c.execute('create table t as select 1')",
    "pandas": "import pandas\nglobal f; f = open('a.csv', 'w'); pandas.DataFrame({'a': [1]}).to_csv(f)",
    "pandas, compressed": (
        "import pandas, gzip\nglobal f; f = gzip.open('a.csv.gz', 'wt'); pandas.DataFrame({'a': [1]}).to_csv(f)"
    ),
    "a stream of C": (
        "import numpy, ctypes\nc = ctypes.CDLL(None); c.fopen.restype = ctypes.c_void_p\n"
        "c.fputs(b'rows', ctypes.c_void_p(c.fopen(b'a', b'w')))"
    ),
    "a log": "import pandas, logging\nlogging.basicConfig(filename='a'); logging.warning('rows')",
}


@pytest.mark.parametrize("case", OPEN_FILES)
def test_what_a_warm_task_leaves_open_is_written(bench: LibraryBench, case: str) -> None:
    folder = bench.folder / "data"
    imports, work = OPEN_FILES[case].split("\n", 1)
    # Imports after `chdir` would be cold.
    body = f"{imports}\nimport shutil\nshutil.rmtree({str(folder)!r}, True); os.mkdir({str(folder)!r})\n"
    body += f"os.chdir({str(folder)!r})\n{work}\nreturn []"

    bench.attempt(body, fresh=True)
    expected = {file.name: file.stat().st_size for file in folder.iterdir()}
    bench.warm(body)

    assert {file.name: file.stat().st_size for file in folder.iterdir()} == expected
    assert all(expected.values())
