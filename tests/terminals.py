"""Programs on a terminal, and what they leave on its screen."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

#: A control sequence of the terminal: its parameters and its final byte.
_SEQUENCE = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])")


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
