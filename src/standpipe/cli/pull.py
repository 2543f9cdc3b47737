"""`standpipe pull`: bring a run of a KFP cluster into the run store."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from standpipe.cli import clusters, parsers
from standpipe.cli.options import add_root
from standpipe.support.shell_commands import standpipe_command

if TYPE_CHECKING:
    from standpipe.kfp_cluster.cluster import Cluster
    from standpipe.kfp_cluster.payloads import Fetch
    from standpipe.kfp_cluster.pulled_runs import Pulled


def main(arguments: Sequence[str]) -> int:
    """Pull a run, and print the id that it has in the run store.

    Raises:
        ArgumentError: if a flag is invalid, or the run has no task of --inputs-of.
        NoSuchRun: if the cluster has no such run.
        ClusterError: if the cluster cannot be reached, or refuses.
        StorageError: if the pipeline root cannot be written.
    """
    options = make_parser().parse_args(arguments)
    http = clusters.connect(options)
    from standpipe.kfp_cluster.cluster import Cluster  # here and below: `--help` does without
    from standpipe.kfp_cluster.payloads import open_sources
    from standpipe.kfp_cluster.pulled_runs import pull_run
    from standpipe.support.notices import inform
    from standpipe.support.paths import absolute_path

    cluster = Cluster(http)
    root = absolute_path("pipeline_root", options.pipeline_root)

    def make_fetch(namespace: str) -> Fetch:
        return open_sources(http, options.namespace or namespace, root, options.kubernetes)

    fetches = make_fetch if options.artifacts or options.inputs_of else None
    waiting = f"Another process pulls run {options.run} into {root}: waiting for it."
    pulled = pull_run(root, cluster, options.run, fetches, options.inputs_of or "", on_wait=lambda: inform(waiting))
    _explain(pulled, cluster, root)
    if options.json:
        document = {"run": pulled.id, "in_progress": pulled.in_progress, "unknown_inputs": pulled.unknown_inputs}
        print(json.dumps(document, indent=2))
    else:
        print(pulled.id)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "pull",
        "Bring a run of a KFP cluster into the run store, for `show`, `ui`, `diff` and `rerun`. The id that it has "
        "there is printed. A run that was pulled before is brought up to date.",
        examples=(
            "standpipe pull 7ae5c3a8-… --host https://kubeflow.example.com/pipeline",
            "standpipe pull 7ae5c3a8-… --artifacts  # with the files; $KF_PIPELINES_ENDPOINT has the host",
            "standpipe pull 7ae5c3a8-… --inputs-of train  # with what a rerun of one task needs",
        ),
    )
    parsers.add_note(
        parser,
        "`standpipe rerun RUN TASK --debug` then runs a task that failed there, on this machine, under the debugger.",
    )
    parser.add_argument("run", metavar="RUN", help="the id of the run on the cluster, at the end of its page's URL")
    parser.add_argument(
        "--artifacts",
        action="store_true",
        help="fetch the files of its artifacts, too: from their object store if the environment has access to it, or "
        "through KFP's web page",
    )
    parser.add_argument(
        "--inputs-of", metavar="TASK", help="fetch the files that one task has read, alone: its name or path"
    )
    parser.add_argument(
        "--kubernetes",
        metavar="FILE",
        help="a file or folder with the config map kfp-launcher and the secrets of the cluster, for its object store",
    )
    parsers.add_json(parser, "an object with the id, whether the run is in progress, and the inputs that are not known")
    clusters.add_flags(parser)
    add_root(parser)
    return parser


def _explain(pulled: Pulled, cluster: Cluster, root: Path) -> None:
    """Say on standard error what is not known of the run, and what comes next."""
    if pulled.is_kept:
        sys.stderr.write(f"{cluster.metadata_problem} The run stays as it was pulled before.\n")
    elif cluster.metadata_problem:
        sys.stderr.write(
            f"{cluster.metadata_problem} The run is without outputs, artifacts and iterations of loops, and has only "
            "inputs that follow from the pipeline and its arguments.\n"
        )
    if pulled.in_progress:
        sys.stderr.write("The run is in progress on the cluster. Pull it again to bring it up to date.\n")
    if pulled.failed_task:
        command = standpipe_command("rerun", root, pulled.id, pulled.failed_task, "--debug")
        sys.stderr.write(f"To debug task {pulled.failed_task!r} here: {command}\n")
    if pulled.unknown_inputs:
        tasks = "; ".join(f"{task}: {', '.join(names)}" for task, names in list(pulled.unknown_inputs.items())[:10])
        sys.stderr.write(f"Inputs that are not known, to pass with `standpipe rerun ... --arg NAME=VALUE`: {tasks}.\n")
