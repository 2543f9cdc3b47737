"""The folder of an attempt, which is always a new one, and the log in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from standpipe.execution.logs import TaskLog
from standpipe.model.events import StartAttempt
from standpipe.model.layout import LOST_FOLDER
from standpipe.model.refs import TaskRef
from standpipe.support.new_folders import make_folder, new_folder
from standpipe.support.notices import Once, warn
from standpipe.support.properties import cached_property
from standpipe.support.redaction import Redactor

#: Shows a line that a task has printed.
LineSink = Callable[[TaskRef, str], None]


@dataclass(frozen=True)
class AttemptFiles:
    """Makes the folders and logs of the attempts of one run.

    Args:
        root: the pipeline root.
        run_folder: the run's own folder.
        show_line: called with each line that a task prints, which its log gets in any case.
        redactor: removes secrets from logs.
    """

    root: Path
    run_folder: Path
    show_line: LineSink
    redactor: Redactor
    _noticed: Once = field(default_factory=Once, init=False)

    def make_folder(self, folder: Path) -> Path | None:
        """Make the folder of an attempt; return where what was there was moved to."""
        moved = make_folder(folder, self.root, self._lost_folder)
        self._note_moved(folder, moved)
        return moved

    def make_folder_with_log(self, folder: Path, command: StartAttempt) -> TaskLog:
        """Make the folder of an attempt, and its log in it; return the log."""
        log = self.open_log(folder, command)
        with new_folder(folder, self.root, self._lost_folder) as (descriptor, moved):
            self._note_moved(folder, moved)
            log.create_in(descriptor)  # in the folder that was made, whatever tasks put in its place
        return log

    def open_log(self, folder: Path, command: StartAttempt) -> TaskLog:
        """Return the log of an attempt, whose file is created on entry, unless it is before."""
        return TaskLog(folder, self.root, partial(self.show_line, command.task), self.redactor)

    @cached_property
    def _lost_folder(self) -> Path:
        return self.run_folder / LOST_FOLDER

    def _note_moved(self, folder: Path, moved: Path | None) -> None:
        if moved and self._noticed.is_first(LOST_FOLDER):
            warn(
                f"{folder} existed before the attempt that needs it: facts of the run were lost (a power loss, a "
                "restored backup), its task was a pipeline before the run was resumed, or another task created it. It "
                f"is now {moved}, and no task reads it. Further ones are moved to {LOST_FOLDER} without a notice."
            )
