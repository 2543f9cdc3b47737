"""The rows of the table: what is measured, what it is compared with, and the target. A module for each theme."""

from __future__ import annotations

from rows import authoring, chains, console, containers, cores, imports, ray, records, scheduler, stores, ui
from rows.row import Measure

#: All rows, in the order of the table, by the name that `--only` takes.
ALL: dict[str, Measure] = {
    measure.__name__: measure
    for measure in (
        authoring.seed,
        imports.science_loop,
        imports.torch_loop,
        imports.science_memory,
        cores.blas,
        chains.chain,
        chains.chain_on_busy_cores,
        containers.docker_chain,
        containers.docker_working_chain,
        containers.docker_loop,
        ray.ray_task,
        authoring.compile_pipeline,
        authoring.load_pipeline,
        scheduler.fake_loop,
        scheduler.subprocess_loop,
        scheduler.scale,
        scheduler.recording,
        scheduler.memory,
        console.live_display,
        records.commands,
        records.checksum,
        records.resume_and_cache,
        stores.transfers,
        authoring.help_text,
        authoring.import_time,
        chains.build,
        chains.next_task,
        chains.in_process_chain,
        chains.large_parameter,
        ui.ui_first_page,
        ui.ui_large_run,
        ui.ui_interactive,
        ui.ui_memory,
        ui.ui_live_run,
        ui.ui_report,
    )
}

#: Those that take seconds, and need neither the KFP SDK, nor Docker, nor packages.
QUICK = (
    "chain",
    "chain_on_busy_cores",
    "scale",
    "recording",
    "memory",
    "resume_and_cache",
    "help_text",
    "import_time",
    "large_parameter",
    "ui_first_page",
    "ui_large_run",
    "ui_memory",
)
