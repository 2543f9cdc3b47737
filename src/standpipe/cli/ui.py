"""`standpipe ui`: show the runs in a browser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from standpipe.cli import options, parsers


def main(arguments: Sequence[str]) -> int:
    """Serve the pages until Ctrl-C.

    Raises:
        StandpipeError: if there is no such run, the run store cannot be read, or the port is taken.
    """
    args = make_parser().parse_args(arguments)
    from standpipe.store.reading import run_row
    from standpipe.support.paths import absolute_path  # here and below: not needed for `--help`
    from standpipe.ui import server

    root = absolute_path("pipeline_root", args.pipeline_root)
    if args.inherited:
        lock, listener = map(int, args.inherited.split(","))
        server.serve_inherited(root, lock, listener, args.idle_end or server.IDLE_END)
        return 0
    try:
        run = run_row(root, args.run).id if args.run else ""
        server.serve(root, run=run, port=args.port, open_browser=not args.no_browser)
    except KeyboardInterrupt:  # before the server has started
        pass
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "ui",
        "Show the runs in a browser. The server listens on this machine only, and runs until Ctrl-C.",
        examples=(
            "standpipe ui  # all runs",
            "standpipe ui latest  # one run",
            "standpipe ui --port 8000 --no-browser  # only prints the address",
        ),
    )
    parser.add_argument(
        "run",
        metavar="RUN",
        nargs="?",
        help="the run to open: its id, a unique beginning of it, the name of its pipeline, or `latest`; by default, "
        "the list of runs",
    )
    options.add_root(parser)
    parser.add_argument(
        "--port",
        type=parsers.whole_number,
        metavar="NUMBER",
        help="the port (default: 7717, or one of the next if it is taken)",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    # How a run starts a server: the descriptors of the lock and of the socket.
    parser.add_argument("--inherited", help=argparse.SUPPRESS)
    parser.add_argument("--idle-end", type=float, help=argparse.SUPPRESS)
    return parser
