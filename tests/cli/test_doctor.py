"""`standpipe doctor`: its lines, its JSON and its exit code."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from standpipe.cli.main import main
from standpipe.doctor import examination
from standpipe.doctor.answers import ok, problem, warning

FINE: Mapping[str, examination.Check] = {
    "python": lambda _: ok("3.11.7"),
    "limits": lambda _: warning("no control group can be made", "use --runner docker"),
}
BROKEN: Mapping[str, examination.Check] = {**FINE, "cache folder": lambda _: problem("full", "Free some space.")}


@pytest.fixture
def _checks(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(examination.examine, "__defaults__", (request.param, 5.0))


@pytest.mark.parametrize("_checks", [FINE], indirect=True)
@pytest.mark.usefixtures("_checks")
def test_it_says_what_works_and_what_to_do_about_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == (
        "ok       python            3.11.7\n"
        "warning  limits            no control group can be made\n"
        "                           -> use --runner docker\n"
        "\n"
        "The default runner works here; 1 warning.\n"
    )


@pytest.mark.parametrize("_checks", [BROKEN], indirect=True)
@pytest.mark.usefixtures("_checks")
def test_a_problem_is_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.endswith("The default runner cannot work here: 1 problem, 1 warning.\n")


@pytest.mark.parametrize("_checks", [BROKEN], indirect=True)
@pytest.mark.usefixtures("_checks")
def test_it_is_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["checks"][2] == {
        "name": "cache folder",
        "status": "problem",
        "detail": "full",
        "fix": "Free some space.",
    }


@pytest.mark.parametrize("_checks", [FINE], indirect=True)
@pytest.mark.usefixtures("_checks")
def test_statuses_have_colours_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("standpipe.cli.terminal.has_colors", lambda: True)
    main(["doctor"])
    assert "\x1b[32mok\x1b[0m       python" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the SDK leaves its socket open
def test_it_checks_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")  # no network
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert main(["doctor", "--root", str(tmp_path), "--json"]) == 0
    checks = {each["name"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    assert list(checks) == list(examination.CHECKS)
    assert checks["environment"]["status"] == "ok"
    assert list(tmp_path.iterdir()) == []
    gc.collect()
