from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from standpipe.ui.views.time_axis import TimeAxis

START = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.0, ["0", "0.001 s"]),
        (0.05, ["0", "0.01 s", "0.02 s", "0.03 s", "0.04 s", "0.05 s"]),
        (9.0, ["0", "2 s", "4 s", "6 s", "8 s"]),
        (100.0, ["0", "15 s", "30 s", "45 s", "1:00", "1:15", "1:30"]),
        (3600.0, ["0", "10:00", "20:00", "30:00", "40:00", "50:00", "1:00:00"]),
        (50_000.0, ["0", "2:00:00", "4:00:00", "6:00:00", "8:00:00", "10:00:00", "12:00:00"]),
        (86400 * 20.0, ["0", "3 d", "6 d", "9 d", "12 d", "15 d", "18 d"]),
    ],
)
def test_ticks_are_at_round_times(seconds: float, labels: list[str]) -> None:
    assert [tick.label for tick in TimeAxis(START, at(seconds)).ticks()] == labels


def test_ticks_are_at_their_parts_of_the_axis() -> None:
    assert [tick.at for tick in TimeAxis(START, at(8)).ticks()] == [n / 8 for n in range(9)]


def test_pauses_have_no_length() -> None:
    axis = TimeAxis(START, at(1010), [(at(4), at(504)), (at(506), at(1002))])

    assert axis.seconds == 14
    assert [round(axis.place(at(time)) * 14, 6) for time in (-5, 0, 4, 300, 504, 505, 700, 1002, 1010, 2000)] == [
        *(0, 0, 4, 4, 4, 5, 6, 6, 14, 14),
    ]
    assert [(round(gap.at * 14, 6), gap.label) for gap in axis.gaps()] == [(4, "8 min 20 s"), (6, "8 min 16 s")]
    assert axis.between(at(3), at(505)) == 2
    assert (axis.end_of_progress(at(1)), axis.end_of_progress(at(505)), axis.end_of_progress(at(1005))) == (
        *(at(4), at(506), at(1010)),
    )
    assert axis.is_paused_between(at(3), at(504))
    assert not axis.is_paused_between(at(504), at(505))
