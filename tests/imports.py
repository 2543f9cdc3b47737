"""Which modules a program imports, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def modules_of(program: str) -> set[str]:
    """Return the modules that are imported when a program has run."""
    # Where coverage is measured, it would start in the process, with modules of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    code = f"{program}\nimport sys\nprint('\\n' + ' '.join(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return set(shown.stdout.splitlines()[-1].split())
