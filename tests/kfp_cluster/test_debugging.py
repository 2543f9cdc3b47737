"""A task that failed on a cluster, under the debugger on this machine, with the inputs that it had there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kfp_cluster.conftest import pull
from tests.kfp_cluster.mock_kfp import MockKfp
from tests.terminals import type_on_terminal

PAYLOAD = "minio/mlpipeline/v2/artifacts/training/data"


def rerun(run: str, *flags: str) -> list[str]:
    return [sys.executable, "-m", "standpipe", "rerun", run, "train", "--debug", "--no-venv", *flags]


def test_the_code_of_the_cluster_stops_with_its_inputs(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    failed.payloads[PAYLOAD] = b"x\nx\nx\nx\nx\n"
    assert pull(failed, "--artifacts") == 0
    run = capsys.readouterr().out.strip()
    dialog = [
        ("(Pdb) ", "p label, rate, len(open(data.path).readlines())\n"),
        ("('loaded', 0.25, 5)", ""),
        ("(Pdb) ", "c\n"),
        ("cannot train on 5 rows", "q\n"),
    ]
    shown = type_on_terminal(rerun(run), dialog)
    assert "with open(data.path) as file:" in shown
    assert "src/standpipe" not in shown, "nobody sees frames of ours"
    assert f"{run} train --script SCRIPT" in shown


def test_the_code_as_it_is_now_stops_in_the_users_file(
    failed: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed.payloads[PAYLOAD] = b"x\nx\nx\nx\nx\n"
    assert pull(failed, "--artifacts") == 0
    run = capsys.readouterr().out.strip()
    script.write_text(script.read_text(encoding="utf-8").replace('== "loaded"', '== "broken"'), encoding="utf-8")
    dialog = [("training.py", ""), ("(Pdb) ", "b 19\n"), ("(Pdb) ", "c\n"), ("(Pdb) ", "p count\n"), ("5", "c\n")]
    shown = type_on_terminal(rerun(run, "--script", "training.py"), [*dialog, ('"Output": 1.25', "")])
    assert "Traceback" not in shown
