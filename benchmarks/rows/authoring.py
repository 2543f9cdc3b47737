"""Rows of whole processes: the first example, compiling, the import, the command."""

from __future__ import annotations

from pathlib import Path

from rows.row import Options, measured_row, milliseconds
from sides import Sides, in_turns, scratch

TASKS = 1_000


@measured_row(
    "the documentation's first example, whole process, `SubprocessRunner()`", "60 times faster than kfp.local"
)
def seed(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the documentation's first example, a component and a pipeline of two tasks, as a whole process."""
    sides.standpipe.time_program("seed.py")  # fills the caches
    kfp_seconds = sides.kfp.time_program("seed.py")  # once: it takes half a minute, and nothing depends on its digits
    (seconds,) = in_turns(5, lambda: sides.standpipe.time_program("seed.py"))
    times = kfp_seconds / seconds
    return f"{times:.0f} times ({seconds:.3f} s)", f"kfp.local: {kfp_seconds:.1f} s", times >= 60


@measured_row("tracing and `Compiler().compile` of a pipeline of 1,000 tasks, CPU time", "0.08 times the KFP SDK's")
def compile_pipeline(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the compiling of a large pipeline, compared with the SDK."""
    with scratch() as folder:
        request = {"tasks": TASKS, "load": None, "save": str(folder / "steps.yaml")}
        seconds, kfp_seconds = in_turns(
            5,
            lambda: float(sides.standpipe.run("compile.py", **request)["compile"]),
            lambda: float(sides.kfp.run("compile.py", **request)["compile"]),
        )
    ratio = seconds / kfp_seconds
    return f"{ratio:.3f} times ({milliseconds(seconds)})", f"KFP SDK: {milliseconds(kfp_seconds)}", ratio <= 0.08


@measured_row("loading that file, CPU time", "0.15 times the commit before")
def load_pipeline(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the loading of a large compiled pipeline, compared with the commit before."""
    with scratch() as folder:
        file = folder / "steps.yaml"
        sides.standpipe.run("compile.py", tasks=TASKS, load=None, save=str(file))
        request = {"tasks": 10, "load": str(file), "save": str(Path(folder, "other.yaml"))}
        seconds, base = in_turns(
            5,
            lambda: float(sides.standpipe.run("compile.py", **request)["load"]),
            lambda: float(sides.base.run("compile.py", **request)["load"]),
        )
    ratio = seconds / base
    return f"{ratio:.2f} times ({milliseconds(seconds)})", f"before: {milliseconds(base)}", ratio <= 0.15


@measured_row("`standpipe --help`, whole process", "2 times `python -c pass`")
def help_text(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the help of the command, compared with a bare interpreter."""
    seconds, bare = in_turns(
        15, lambda: sides.standpipe.time_command("standpipe", "--help"), lambda: sides.standpipe.time_code("pass")
    )
    ratio = seconds / bare
    return f"{ratio:.2f} times ({milliseconds(seconds)})", f"bare interpreter: {milliseconds(bare)}", ratio <= 2


@measured_row("`import standpipe`; `from standpipe import dsl, local`", "30 ms; 60 ms over a bare interpreter")
def import_time(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure the import, less the time of a bare interpreter."""
    names = "from {} import dsl, local"
    package, seconds, bare = in_turns(
        15,
        lambda: sides.standpipe.time_code("import standpipe"),
        lambda: sides.standpipe.time_code(names.format("standpipe")),
        lambda: sides.standpipe.time_code("pass"),
    )
    comparison = f"bare interpreter: {milliseconds(bare)}"
    if not options.quick:
        kfp, kfp_bare = in_turns(
            5, lambda: sides.kfp.time_code(names.format("kfp")), lambda: sides.kfp.time_code("pass")
        )
        comparison += f"; kfp: {milliseconds(kfp - kfp_bare)}"
    met = package - bare <= 0.030 and seconds - bare <= 0.060
    return f"{milliseconds(package - bare)}; {milliseconds(seconds - bare)}", comparison, met
