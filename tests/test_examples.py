"""The examples: what they say of themselves, `standpipe check`, and the one that needs no packages.

`tests/slow/test_examples.py` runs the others.
"""

from __future__ import annotations

import ast
import json
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from standpipe import local
from standpipe.errors import TaskFailed
from standpipe.history import Run

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))

#: The examples that are those of KFP's documentation, word for word.
OF_KFP = ("add.py", "artifacts.py")


class Webhook(HTTPServer):
    """A server that keeps what is posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.texts: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """Keeps the text of a message."""

    server: Webhook

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.texts.append(json.loads(content)["text"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run_gate(table: str, root: Path, webhook: Webhook) -> Run:
    pipeline = runpy.run_path(str(EXAMPLES / "quality_gate.py"))["quality_gate"]
    runner = local.SubprocessRunner(use_venv=False)
    inputs = {"table": str(EXAMPLES / table), "webhook": webhook.address}
    local.run(pipeline, inputs, runner=runner, pipeline_root=str(root), quiet=True)
    return local.get_run("latest", pipeline_root=str(root))


def test_the_gate_lets_a_good_table_through_and_notifies(tmp_path: Path, webhook: Webhook) -> None:
    run = run_gate("orders.csv", tmp_path, webhook)

    assert webhook.texts == ["The table was accepted."]
    (totals,) = (artifact for artifact in run.artifacts if artifact.name == "totals")
    lines = Path(totals.path or "").read_text().splitlines()
    assert lines[0] == "country,total"
    assert sorted(line[:2] for line in lines[1:]) == ["CL", "JP", "KE", "NL", "PT"]


def test_the_gate_fails_the_run_of_a_bad_table_and_notifies(tmp_path: Path, webhook: Webhook) -> None:
    with pytest.raises(TaskFailed, match="4 problems: line 6: the amount '' is not a number; line 11"):
        run_gate("orders-broken.csv", tmp_path, webhook)

    (text,) = webhook.texts
    assert text.startswith("The table was rejected. In the pipeline, its task")
    assert "line 6" in text


def test_tasks_import_the_modules_beside_the_script(tmp_path: Path) -> None:
    script = str(EXAMPLES / "own_modules.py")
    command = [sys.executable, "-m", "standpipe", "run", "--no-venv", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    orders = [line.split(",") for line in (EXAMPLES / "orders.csv").read_text().splitlines()[1:]]
    rates = {"PT": 0.2, "NL": 0.2, "CL": 0.15, "JP": 0.1}
    amounts = {code: sum(float(order[3]) for order in orders if order[2] == code) for code in rates}
    most = max(amounts[code] * rate / (1 + rate) for code, rate in rates.items())
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(most, abs=0.01)


def test_check_finds_nothing_in_the_examples() -> None:
    command = [sys.executable, "-m", "standpipe", "check", *map(str, SCRIPTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("No findings in ")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.name))
def test_each_example_says_how_to_run_it_and_has_a_line_on_the_page(path: Path) -> None:
    page = (ROOT / "docs" / "tutorial" / "examples.md").read_text(encoding="utf-8")
    assert f"examples/{path.name})" in page
    if path.name not in OF_KFP:
        assert f"examples/{path.name}" in (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
