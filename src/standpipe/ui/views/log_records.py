"""What the tab Logs shows, and what its addresses ask for; `logs` reads it."""

from __future__ import annotations

import json
import zlib
from dataclasses import astuple

from standpipe.model.frozen import frozen
from standpipe.ui.rendering import link
from standpipe.ui.views.ansi import Line

#: The most characters of the path of a task before a line.
_MAX_LABEL = 24

#: How many colors the names of tasks have.
_COLORS = 8


@frozen
class LogQuery:
    """What the address of the tab asks for.

    Attributes:
        run: the id of the run.
        task: the path of the task whose log, or of the group whose logs, are shown; empty for all.
        attempt: the number of the attempt; None for the last one.
        search: a text that lines are searched for.
        end: the number of the byte before which the lines end; None for the end of the log.
        before: the number of the attempt, in the order of their starts, before which the logs of several tasks end.
        selected: the path of the task in the side panel.
    """

    run: str
    task: str = ""
    attempt: int | None = None
    search: str = ""
    end: int | None = None
    before: int | None = None
    selected: str = ""

    @property
    def href(self) -> str:
        """The address of this query."""
        return link(
            *("runs", self.run),
            tab="logs",
            task=self.selected,
            scope="" if self.task == self.selected else f"of:{self.task}",
            attempt=self.attempt,
            search=self.search,
            end=self.end,
            before=self.before,
        )

    @property
    def download(self) -> str:
        """The address of the whole log."""
        return link("runs", self.run, "log", task=self.task, attempt=self.attempt, download=1)


class _OfTask:
    """What is on a page with the logs of several tasks."""

    task: str

    @property
    def label(self) -> str:
        """The end of the path of its task."""
        return _shorten_path(self.task)


@frozen
class LogLine(_OfTask):
    """A line. `number` is counted from 1, None if it is not known. `task` is whose it is, on a page with several."""

    spans: Line
    number: int | None = None
    task: str = ""
    color: int = 0
    href: str = ""


@frozen
class Note(_OfTask):
    """A sentence between lines: what is left out, or why a log cannot be shown. `href` leads to it."""

    text: str
    task: str = ""
    color: int = 0
    href: str = ""


@frozen
class Followed:
    """How far the log of an attempt that has not ended was read.

    Attributes:
        task: the path of the task.
        attempt: the number of the attempt.
        offset: the number of the byte after the last whole line.
        stop: the number of the byte after the unfinished line that follows it.
        style: the style in which the next line begins.
        line: the number of the next line; None if it is not known.
    """

    task: str
    attempt: int
    offset: int = 0
    stop: int = 0
    style: str = ""
    line: int | None = None


@frozen
class Cursor:
    """How far the logs of a page were read.

    Attributes:
        scope: the path of the group whose logs are shown; empty for all tasks.
        known: how many attempts of the scope were seen; -1 if the page shows a single one.
        followed: the attempts that have not ended.
    """

    scope: str = ""
    known: int = -1
    followed: tuple[Followed, ...] = ()

    def encode(self) -> str:
        """Return it as text."""
        followed = [astuple(each) for each in self.followed]
        return json.dumps([self.scope, self.known, followed], separators=(",", ":"))

    @staticmethod
    def decode(text: str) -> Cursor:
        """Return the cursor of a text.

        Raises:
            ValueError: if the text is not a cursor.
        """
        try:
            scope, known, followed = json.loads(text)
            entries = tuple(Followed(*each) for each in followed)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError("expected a position in a log") from error
        numbers = [known, *(number for each in entries for number in (*astuple(each)[1:4], each.line or 0))]
        texts = [scope, *(text for each in entries for text in (each.task, each.style))]
        if not all(type(number) is int for number in numbers) or not all(type(text) is str for text in texts):
            raise ValueError("expected a position in a log")
        return Cursor(scope, known, entries)


@frozen
class AttemptLink:
    """A link to the log of an attempt."""

    number: int
    state: str
    href: str
    is_shown: bool


@frozen
class LogsView:
    """The tab.

    Attributes:
        query: what the address asks for.
        is_single: whether it shows the log of one attempt.
        lines: what is shown, in order.
        unfinished: lines that tasks have not ended yet.
        problem: why there is no log; empty if there is one.
        shown_attempt: the number of the attempt that is shown; None for several logs.
        attempts: the attempts of the task, if it has several.
        cursor: where the log continues; empty if nothing more will come.
        earlier: the address of the lines before; empty if there are none.
        later: the address of the end of the log, if that is not shown.
        size: the size of the log in bytes.
        has_more_matches: whether there may be more matches than are shown: a part of the logs was not searched.
        all_href: the address of the logs of all tasks; empty if they are shown.
    """

    query: LogQuery
    is_single: bool
    lines: tuple[LogLine | Note, ...] = ()
    unfinished: tuple[LogLine, ...] = ()
    problem: str = ""
    problem_href: str = ""
    shown_attempt: int | None = None
    attempts: tuple[AttemptLink, ...] = ()
    cursor: str = ""
    earlier: str = ""
    later: str = ""
    size: int | None = None
    has_more_matches: bool = False
    all_href: str = ""


@frozen
class NewLines:
    """What was added to the logs of a page. `cursor` is empty if nothing more will come."""

    lines: tuple[LogLine | Note, ...]
    unfinished: tuple[LogLine, ...]
    cursor: str
    has_more: bool = False


def _shorten_path(path: str) -> str:
    return path if len(path) <= _MAX_LABEL else f"…{path[1 - _MAX_LABEL :]}"


def color_of(path: str) -> int:
    """Return the color of a task: the same for a task in all iterations."""
    return zlib.crc32(path.rpartition("/")[2].encode(errors="replace")) % _COLORS
