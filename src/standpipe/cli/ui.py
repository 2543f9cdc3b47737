"""`standpipe ui`: show the runs in a browser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from standpipe.cli import options


def main(arguments: Sequence[str]) -> int:
    """Serve the pages until Ctrl-C.

    Raises:
        StandpipeError: if there is no such run, or the run store cannot be read.
    """
    args = _parser().parse_args(arguments)
    from standpipe import local  # here and below: not needed for `--help`

    run = local.get_run(args.run, pipeline_root=args.pipeline_root).id if args.run else ""
    from standpipe.ui.server import serve

    serve(Path(args.pipeline_root), run=run, port=args.port, open_browser=not args.no_browser)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "standpipe ui", allow_abbrev=False, description="Show the runs in a browser. The server runs until Ctrl-C."
    )
    parser.add_argument("run", metavar="RUN", nargs="?", help="the run to open; by default, the list of runs")
    parser.add_argument("--port", type=int, default=0, help="the port of 127.0.0.1")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    options.add_root(parser)
    return parser
