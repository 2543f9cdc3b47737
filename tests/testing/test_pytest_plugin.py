"""The pytest plugin, in tests of its own: options, markers, reports, and what it costs."""

from __future__ import annotations

from importlib.metadata import entry_points, requires

import pytest

from tests.imports import modules_of
from tests.testing.inner_tests import RunTests

pytest_plugins = ["pytester"]


def text_of(result: pytest.RunResult) -> str:
    return str(result.stdout)


def test_pytest_imports_nothing_of_standpipe_until_it_is_used() -> None:
    imported = modules_of("import pytest\npytest.main(['--version'])")
    own = {name for name in imported if name.startswith("standpipe")}
    assert own <= {"standpipe", "standpipe.pytest_plugin"}
    assert "pytest" not in modules_of("import standpipe.testing")


def test_the_package_names_the_plugin() -> None:
    (entry,) = (each for each in entry_points(group="pytest11") if each.name == "standpipe")
    assert entry.value == "standpipe.pytest_plugin"
    assert not [each for each in requires("standpipe") or [] if each.startswith("pytest")]


def test_a_failed_test_shows_its_runs_and_what_tasks_printed(run: RunTests) -> None:
    result = run(
        "def test_rate(standpipe):\n"
        "    run = standpipe.run(training, rate=9, options={'raise_on_error': False})\n"
        "    assert run.status == 'SUCCEEDED'\n"
        "def test_raises(standpipe):\n    standpipe.run(training, rate=9)\n"
        "def test_passes(standpipe):\n    standpipe.run(training)\n"
    )
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*A status is not a text: compare its .value, which is 'FAILED'.",
            "*standpipe.tasks:*train: training at 9.0",
            "*- standpipe run training-*",
            "  train: failed in *: ValueError: too fast",
            "task train:",
            "*raise ValueError(*too fast*)",
            "  training at 9.0",
            "*test_raises*",
            ">   *standpipe.run(training, rate=9)",
            "E   *TaskFailed: test_a_failed_*.py, line 15: Task 'train' failed: ValueError: too fast",
            "*- standpipe run training-*",
        ]
    )
    assert text_of(result).count("- standpipe run training-") == 2
    assert "testing/tester.py" not in text_of(result)


def test_runners_are_chosen_by_option_setting_marker_and_parameter(run: RunTests, pytester: pytest.Pytester) -> None:
    tests = (
        "def test_default(standpipe, standpipe_runner):\n"
        "    is_here = standpipe.call(pid) == os.getpid()\n"
        "    assert is_here == (standpipe_runner == 'in-process'), standpipe_runner\n"
        "    print('ran with', standpipe_runner)\n"
        "@pytest.mark.standpipe_runners('in-process', 'subprocess')\n"
        "def test_marked(standpipe, standpipe_runner):\n    test_default(standpipe, standpipe_runner)\n"
        "@pytest.mark.parametrize('standpipe_runner', [local.SubprocessRunner(use_venv=False)])\n"
        "def test_object(standpipe):\n    assert standpipe.call(pid) != os.getpid()\n"
    )
    result = run(tests, "-rP", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*test_marked[[]in-process]*", "*test_marked[[]subprocess]*"])
    assert text_of(result).count("ran with in-process") == 2

    result = run(tests, "-rP", "--standpipe-runner=subprocess", "-k", "default")
    result.assert_outcomes(passed=1)
    assert "ran with subprocess" in text_of(result)

    pytester.makeini("[pytest]\nstandpipe_runner = subprocess\n")
    assert "ran with subprocess" in text_of(run(tests, "-rP", "-k", "default"))
    assert "ran with in-process" in text_of(run(tests, "-rP", "-k", "default", "--standpipe-runner=in-process"))


def test_a_mistake_in_a_name_is_an_error_with_a_suggestion(run: RunTests) -> None:
    result = run("def test_it(standpipe): pass\n", "--standpipe-runner=subproces")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Unknown runner 'subproces' for the fixture `standpipe`: did you mean 'subprocess'?" in str(result.stderr)

    result = run(
        "@pytest.mark.standpipe(netwrok=True)\ndef test_a(standpipe): pass\n"
        "@pytest.mark.standpipe(cache=1)\ndef test_b(standpipe): pass\n"
        "@pytest.mark.standpipe('network')\ndef test_c(standpipe): pass\n"
        "@pytest.mark.standpipe_runners('slurm')\ndef test_d(standpipe): pass\n"
    )
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines_random(
        [
            "*Unknown option 'netwrok' of pytest.mark.standpipe: did you mean 'network'?",
            "*Invalid cache=1 of pytest.mark.standpipe: expected True or False.",
            "*pytest.mark.standpipe: expected options such as network=True, got 'network'.",
            "*Unknown runner 'slurm' *: expected one of subprocess, docker, in-process, ray, kubernetes.",
        ]
    )


def test_a_marker_allows_the_network_and_the_cache(run: RunTests) -> None:
    result = run(
        "import socket\n"
        "@pytest.mark.standpipe(network=True)\n"
        "class TestMarked:\n"
        "    def test_network(self, standpipe):\n"
        "        assert 'UV_OFFLINE' not in os.environ and 'connect' not in vars(socket.socket)\n"
        "    @pytest.mark.standpipe(network=False)\n"
        "    def test_blocked(self, standpipe):\n        assert os.environ['UV_OFFLINE'] == '1'\n"
        "@pytest.mark.standpipe(cache=True)\n"
        "@pytest.mark.standpipe_runners('subprocess')\n"
        "def test_cache(standpipe):\n"
        "    first = standpipe.run(training)\n"
        "    again = standpipe.run(training)\n"
        "    assert again.task('train').cached_from.startswith(first.id)\n"
        "    assert again.order == ['train']\n"
    )
    result.assert_outcomes(passed=3)


def test_tests_run_in_parallel(run: RunTests) -> None:
    result = run(
        "@pytest.mark.parametrize('rate', [0.1, 0.2, 0.3, 0.4])\n"
        "def test_rate(standpipe, rate):\n"
        "    assert standpipe.run(training, rate=rate).output == rate\n"
        "    assert len(standpipe.runs) == 1\n"
        "def test_fails(standpipe):\n    assert standpipe.run(training).output == 7\n",
        "-n",
        "2",
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*- standpipe run training-*"])
