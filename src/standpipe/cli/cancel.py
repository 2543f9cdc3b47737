"""`standpipe cancel`: cancel a run that is in progress in another process."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import clusters, options, parsers


def main(arguments: Sequence[str]) -> int:
    """Request that a run is cancelled, as Ctrl-C does in its own process.

    Raises:
        StandpipeError: if there is no such run, or the request cannot be written.
    """
    args = make_parser().parse_args(arguments)
    if args.host:
        return _cancel_on_cluster(args)
    from standpipe import local  # not needed for `--help`
    from standpipe.runs.pulled import read_mark
    from standpipe.store.locks import is_pulled_in_progress

    run = local.get_run(args.run, pipeline_root=args.pipeline_root)
    if run.cancel():
        print(
            f"Requested the cancellation of run {run.id}: its tasks are stopped, then its exit tasks run. "
            "A second request cancels the exit tasks, too."
        )
        return 0
    pulled = read_mark(run.folder) if is_pulled_in_progress(run.folder) else None
    advice = f" on this machine. On the cluster: standpipe cancel {pulled.id} --host {pulled.host}" if pulled else "."
    print(f"Run {run.id} is not in progress{advice}")
    return 1


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "cancel",
        "Cancel a run that is in progress in another process, as Ctrl-C does there.",
        examples=(
            "standpipe cancel latest",
            "standpipe cancel train-2026  # a beginning of the id is enough",
            "standpipe cancel 7ae5c3a8-… --host https://kubeflow.example.com/pipeline  # a run of a KFP cluster",
        ),
    )
    parsers.add_run(parser)
    options.add_root(parser)
    clusters.add_flags(parser, is_optional=True)
    return parser


def _cancel_on_cluster(args: argparse.Namespace) -> int:
    http = clusters.connect(args)
    from standpipe.kfp_cluster.api import KfpApi  # most runs are on this machine

    KfpApi(http).terminate_run(args.run)
    print(f"Requested the cancellation of run {args.run} on {http.base}.")
    return 0
