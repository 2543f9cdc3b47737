"""The tab Timeline of a run."""

from __future__ import annotations

from datetime import datetime

from starlette.datastructures import QueryParams

from standpipe.history import Run
from standpipe.model.frozen import frozen
from standpipe.model.plan import Plan
from standpipe.ui.views.timeline import Timeline, draw_timeline


@frozen
class TimelineTab:
    """What the tab shows: the timeline, and the paths of the groups that were opened or closed."""

    timeline: Timeline
    toggled: tuple[str, ...]


def show_timeline(run: Run, plan: Plan | None, query: QueryParams) -> TimelineTab:
    """Return the tab with the groups open that a query names."""
    toggled = tuple(query.getlist("toggle"))
    return TimelineTab(draw_timeline(run, plan, datetime.now().astimezone(), toggled), toggled)
