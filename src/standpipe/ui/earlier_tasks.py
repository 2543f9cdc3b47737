"""The task of an earlier run that a task is compared with, to say why it was not cached."""

from __future__ import annotations

from standpipe.errors import StandpipeError
from standpipe.history import Run, Task
from standpipe.ui.source import RunSource
from standpipe.ui.views.cache import RecordedTask

#: In how many earlier runs of the pipeline a task is looked for.
_MAX_EARLIER = 5


def find_earlier(source: RunSource, run: Run, task: Task) -> RecordedTask | None:
    """Return the task in the newest earlier run of the pipeline that has it; None if there is none.

    Args:
        source: the runs.
        run: the run of the task. To one that is not recorded, all others are earlier.
        task: the task.
    """
    runs = source.runs()
    position = next((number for number, each in enumerate(runs) if each.id == run.id), -1)
    earlier = [each for each in runs[position + 1 :] if each.pipeline == run.pipeline and not each.rerun_of]
    for each in earlier[:_MAX_EARLIER]:
        try:
            read = source.run(each.id)
            return RecordedTask(read.id, source.readable_plan(read), read.task(task.path))
        except StandpipeError:
            continue  # it never got there, or cannot be read
    return None
