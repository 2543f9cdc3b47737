"""Programs on a terminal, and what they leave on its screen."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

#: A control sequence of the terminal: its parameters and its final byte.
_SEQUENCE = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])")


def terminal_environment() -> dict[str, str]:
    """Return the variables of this process without those that change what a program shows on a terminal."""
    hidden = ("CI", "GITHUB_ACTIONS", "NO_COLOR")
    return {**{name: value for name, value in os.environ.items() if name not in hidden}, "PYTHONUTF8": "1"}


def run_on_terminal(command: Sequence[str], env: Mapping[str, str], size: tuple[int, int] = (50, 200)) -> str:
    """Run a program with a terminal of this many lines and columns, and return all that it wrote."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**env, "TERM": "xterm"}) as process:
        os.close(theirs)
        written = b""
        with suppress(OSError):  # the program has closed the terminal
            while part := os.read(ours, 65536):
                written += part
    os.close(ours)
    assert process.returncode == 0, written.decode()
    return written.decode()


def type_on_terminal(command: Sequence[str], dialog: Sequence[tuple[str, str]], env: Mapping[str, str] = {}) -> str:
    """Run a program on a terminal, with a user who types when a text appears; return all that it wrote.

    Args:
        command: the program.
        dialog: texts that are waited for, each after the one before it, and what is typed then.
        env: variables, besides those of this process.
    """
    import fcntl
    import termios

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "NO_COLOR": "1", "PYTHON_COLORS": "0", "COLUMNS": "200", **env}
    written, seen, left = "", 0, list(dialog)

    def control() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)  # so that Ctrl-C is a signal

    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
        preexec_fn=control,
    ) as process:
        os.close(theirs)
        try:
            while select.select([ours], [], [], 60)[0]:
                with suppress(OSError):  # the program has closed the terminal
                    if part := os.read(ours, 65536):
                        written += part.decode()
                        while left and (at := written.find(left[0][0], seen)) >= 0:
                            seen = at + len(left[0][0])
                            os.write(ours, left.pop(0)[1].encode())
                        continue
                break
        finally:
            process.kill()
    os.close(ours)
    assert not left, written
    return written


def screen_lines(written: str) -> list[str]:
    """Return the lines that a terminal shows after a program has written to it, on a screen that is never full."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(written):
        sequence = _SEQUENCE.match(written, at)
        if sequence:
            number = int(sequence[1]) if sequence[1].isdecimal() else 1
            if sequence[2] == "A":
                row = max(0, row - number)
            elif sequence[2] == "K":
                lines[row] = "" if sequence[1] == "2" else lines[row][:column]
            elif sequence[2] == "J":
                lines[row:] = [lines[row][:column]]
            else:
                assert sequence[2] in "mhl", f"unknown sequence {sequence[0]!r}"
            at = sequence.end()
            continue
        character, at = written[at], at + 1
        if character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + character + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
