"""`standpipe submit`: create a run of a pipeline on a KFP cluster, and follow it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing, redirect_stdout
from typing import TYPE_CHECKING

from standpipe.cli import arguments as inputs
from standpipe.cli import clusters, parsers, terminal
from standpipe.cli.current_code import split_arguments
from standpipe.cli.failures import INTERRUPTED
from standpipe.errors import ClusterError, TaskFailed

if TYPE_CHECKING:
    from standpipe.cli.targets import Target
    from standpipe.kfp_cluster.cluster import Cluster
    from standpipe.kfp_cluster.submission import Submission
    from standpipe.model.plan import Plan

#: The exit code if `--strict` refuses a pipeline: that of `standpipe check`.
_HAS_FINDINGS = 1


def main(arguments: Sequence[str]) -> int:
    """Create a run on a cluster, print its id and its page, and with `--wait` follow it.

    Raises:
        ArgumentError: if the target, an argument or a flag is invalid.
        ClusterError: if the cluster cannot be reached, or refuses.
        TaskFailed: with `--wait`, if the run did not succeed.
        BaseException: whatever a script raises when it is imported.
    """
    own, of_script = split_arguments(arguments)
    options = make_parser().parse_args(own)
    http = clusters.connect(options)
    from standpipe.cli import targets  # here and below: `--help` does without
    from standpipe.kfp_cluster.cluster import Cluster
    from standpipe.kfp_cluster.submission import submit_run
    from standpipe.runs.arguments import to_values

    with redirect_stdout(sys.stderr):
        target = targets.load(options.target, of_script, expected="a KFP script, or a compiled pipeline")
    values = inputs.read_arguments(target.component, options.target, options.arg, options.args_file, "submit")
    if _show_findings(target) and options.strict:
        sys.stderr.write("Not submitted: the pipeline has findings, and --strict was passed.\n")
        return _HAS_FINDINGS
    plan, cluster = target.component.compiled_plan, Cluster(http, clusters.find_page())
    run_id = submit_run(cluster.api, plan, to_values(values), _read_submission(options))
    _print_run(run_id, cluster.api.run_url(run_id), as_json=options.json)
    return _follow(cluster, run_id, plan, clusters.to_flags(options), quiet=options.json) if options.wait else 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "submit",
        "Compile a pipeline and create a run of it on a KFP cluster. The id of the run and the URL of its page are "
        "printed. What `standpipe check` finds is shown before.",
        examples=(
            "standpipe submit train.py --host https://kubeflow.example.com/pipeline -a rows=100",
            "standpipe submit train.py:train --wait  # follow the run; $KF_PIPELINES_ENDPOINT has the host",
            "standpipe submit train.yaml --experiment nightly --strict  # not if the pipeline has findings",
        ),
        usage="standpipe submit TARGET --host URL [options] [-- ARGUMENT ...]",
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a script, one of its pipelines as SCRIPT:NAME, or a compiled file; a script gets what is after `--`",
    )
    parser.add_argument("--wait", action="store_true", help="follow the run, and exit with the code of its result")
    parser.add_argument("--strict", action="store_true", help="do not submit a pipeline that has findings")
    parsers.add_json(parser, "an object with the id and the URL of the run")
    inputs.add_flags(parser.add_argument_group("inputs of the pipeline"))
    clusters.add_flags(parser)
    group = parser.add_argument_group("the run")
    group.add_argument("--name", metavar="NAME", help="its name (default: that of the pipeline, and the time)")
    group.add_argument("--experiment", metavar="NAME", help="its experiment, which is created if it is missing")
    group.add_argument("--no-cache", action="store_true", help="let no task reuse outputs of an earlier run")
    group.add_argument("--pipeline-root", metavar="URI", help="where the cluster stores its artifacts")
    group.add_argument("--service-account", metavar="NAME", help="the Kubernetes service account of its tasks")
    return parser


def _read_submission(options: argparse.Namespace) -> Submission:
    from standpipe.kfp_cluster.submission import Submission  # `--help` does without

    return Submission(
        name=options.name or "",
        experiment=options.experiment or "",
        namespace=options.namespace or "",
        pipeline_root=options.pipeline_root or "",
        service_account=options.service_account or "",
        caching=not options.no_cache,
    )


def _show_findings(target: Target) -> bool:
    """Write the findings of `standpipe check` to standard error, and return whether there are any."""
    from standpipe.check.checker import Checker  # brings all rules, which `--help` does without
    from standpipe.check.formats import render
    from standpipe.check.settings import read_settings
    from standpipe.cli.check import check_target

    settings = read_settings(os.getcwd())
    findings = check_target(Checker(settings.select(None, None), settings.folder), target)
    if findings:
        sys.stderr.write(render(findings, "text", pipelines=1, version="", colored=False).rstrip("\n") + "\n")
    return bool(findings)


def _print_run(run_id: str, url: str, *, as_json: bool) -> None:
    text = json.dumps({"run_id": run_id, "url": url}, indent=2) if as_json else f"{run_id}\n{url}"
    terminal.print_text(text)


def _follow(cluster: Cluster, run_id: str, plan: Plan, flags: str, *, quiet: bool) -> int:
    """Show a run until it ends; after Ctrl-C, say how to cancel it.

    Args:
        cluster: where it runs.
        run_id: its id.
        plan: its Plan.
        flags: the flags of the connection, for the commands that are suggested.
        quiet: whether only its end is shown.

    Raises:
        TaskFailed: if it did not succeed.
        ClusterError: if the cluster cannot be reached any more.
    """
    from standpipe.kfp_cluster.following import (  # only --wait needs them
        FactClock,
        RunWasDeleted,
        follow_run,
        make_observer,
    )
    from standpipe.model.states import TaskState

    page, clock, pull = cluster.api.run_url(run_id), FactClock(), f"standpipe pull {run_id}"
    observer = make_observer(cluster, run_id, plan, clock, f"{pull} --artifacts {flags}", quiet=quiet)
    with closing(observer):
        try:
            end = follow_run(cluster, run_id, plan, observer, clock)
        except KeyboardInterrupt:
            observer.close()
            sys.stderr.write(
                f"The run continues on the cluster: {page}\nTo cancel it: standpipe cancel {run_id} {flags}\n"
            )
            return INTERRUPTED
        except RunWasDeleted:
            raise
        except ClusterError as error:
            raise ClusterError(
                f"{error}\nThe run is not followed any more, and continues on the cluster: {page}\n"
                f"To see how far it is: {pull} {flags}"
            ) from error
    if end.state is TaskState.SUCCEEDED:
        return 0
    raise TaskFailed(
        f"Run {run_id} {'was cancelled' if end.state is TaskState.CANCELLED else 'failed'} on the cluster: {page}\n"
        f"To debug one of its tasks here: {pull} --artifacts {flags}"
    )
