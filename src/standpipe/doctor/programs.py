"""Other programs, asked for no longer than a check may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from standpipe.support.forking import start_process

#: The seconds that a program may take to answer.
PATIENCE = 3.0


class Output(NamedTuple):
    """What a program has written, and its exit code; None as the code if it did not end in time, or did not start."""

    text: str
    errors: str
    code: int | None


def ask(
    command: Sequence[str], *, text: str = "", variables: Mapping[str, str] | None = None, patience: float = PATIENCE
) -> Output:
    """Run a program, and kill it if it does not end in time.

    Args:
        command: its command line.
        text: its standard input.
        variables: all of its environment variables; by default, those of this process.
        patience: the seconds that it has.
    """
    import subprocess  # costs 20 ms, which other commands need not pay

    pipe = subprocess.PIPE
    try:
        process = start_process(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace", env=variables, cwd="/"
        )
    except OSError as error:
        return Output("", error.strerror or str(error), None)
    with process:
        try:
            output, errors = process.communicate(text, timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            return Output("", f"no answer within {patience:g} s", None)
    return Output(output.strip(), errors.strip(), process.returncode)
