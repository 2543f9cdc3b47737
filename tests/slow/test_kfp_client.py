"""The client of the KFP SDK at the server of our tests: its requests are ours, and it understands all answers.

So the server is one that KFP's own client, which is generated from KFP's OpenAPI description, takes for a cluster.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from standpipe.cli.main import main
from tests.kfp_cluster.conftest import RUN, failed, kfp, script  # noqa: F401 - fixtures
from tests.kfp_cluster.mock_kfp import MockKfp

pytestmark = pytest.mark.slow


def run_client(python: Path, cluster: MockKfp, code: str, token: str = "") -> Any:
    """Run code with `client`, and return the JSON that it prints last."""
    program = (
        "import json, kfp, warnings\nwarnings.simplefilter('ignore')\n"
        f"client = kfp.Client(host={cluster.host!r}, existing_token={token!r} or None)\n{code}"
    )
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SUBMIT = """
run = client.create_run_from_pipeline_package(
    "training.yaml", arguments={"rows": 7}, run_name="nightly", pipeline_root="s3://b/p", service_account="sa", **MORE
)
print(json.dumps(run.run_id))
"""


@pytest.mark.parametrize(
    ("more", "flags"),
    [
        ({"experiment_name": "first"}, ["--experiment", "first"]),
        ({"experiment_name": "first", "enable_caching": False}, ["--experiment", "first", "--no-cache"]),
    ],
)
def test_a_run_is_created_as_the_sdk_creates_it(
    more: dict[str, Any],
    flags: list[str],
    kfp: MockKfp,  # noqa: F811
    script: Path,  # noqa: F811
    kfp_python: Path,
) -> None:
    assert main(["compile", "training.py", "training.yaml"]) == 0
    own = ["-a", "rows=7", "--name", "nightly", "--pipeline-root", "s3://b/p", "--service-account", "sa", *flags]
    kfp.token = "secret"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STANDPIPE_KFP_TOKEN", "secret")
        assert main(["submit", "training.yaml", "--host", kfp.host, *own]) == 0
    run_client(kfp_python, kfp, SUBMIT.replace("**MORE", f"**{more!r}"), token="secret")
    ours, theirs = (request.json for request in kfp.posted("/apis/v2beta1/runs"))
    assert ours == theirs
    assert len(kfp.experiments) == 1


def test_the_client_understands_the_runs_of_the_server(
    failed: MockKfp,  # noqa: F811
    kfp_python: Path,
) -> None:
    code = f"""
run = client.get_run({RUN!r})
details = run.run_details.task_details
print(json.dumps([run.state, run.runtime_config.parameters, [(each.display_name, each.state) for each in details]]))
"""
    state, parameters, tasks = run_client(kfp_python, failed, code)
    assert (state, parameters) == ("FAILED", {"rows": 5})
    assert ["train", "FAILED"] in tasks


def test_the_client_cancels_a_run_as_we_do(failed: MockKfp, kfp_python: Path) -> None:  # noqa: F811
    failed.runs[RUN]["state"] = "RUNNING"
    run_client(kfp_python, failed, f"client.terminate_run({RUN!r})\nprint('0')")
    assert failed.runs[RUN]["state"] == "CANCELING"
    assert main(["cancel", RUN, "--host", failed.host]) == 0
    ours, theirs = [each.path for each in failed.requests if each.path.endswith(":terminate")]
    assert ours == theirs


def test_settings_of_kubernetes_are_sent_as_the_sdk_sends_them(
    kfp: MockKfp,  # noqa: F811
    script: Path,  # noqa: F811
    kfp_python: Path,
) -> None:
    script.write_text(
        "from kfp import dsl, kubernetes\n\n\n@dsl.component\ndef a(): ...\n\n\n@dsl.pipeline\ndef p():\n"
        "    kubernetes.set_image_pull_policy(a(), 'Always')\n",
        encoding="utf-8",
    )
    assert main(["compile", "training.py", "training.yaml"]) == 0
    assert main(["submit", "training.yaml", "--host", kfp.host, "--name", "nightly", "--experiment", "e"]) == 0
    code = (
        "run = client.create_run_from_pipeline_package('training.yaml', run_name='nightly', experiment_name='e')\n"
        "print(json.dumps(run.run_id))"
    )
    run_client(kfp_python, kfp, code)
    ours, theirs = (request.json for request in kfp.posted("/apis/v2beta1/runs"))
    assert ours == theirs
    assert set(ours["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}
