"""When a task that failed is tried again."""

from __future__ import annotations

from standpipe.model.plan import Retry


def delay_before_next(attempt: int, retry: Retry, began: float, now: float) -> float | None:
    """The seconds until the next attempt, or None if there is none.

    As on a cluster (`maxDuration` of Argo's retry strategy), no attempt begins later than `backoff_max_duration` after
    the first one did.

    Args:
        attempt: the one that has failed now, counted from 0.
        retry: what the task's author allows.
        began: when the first attempt began.
        now: when this one failed.
    """
    if attempt >= retry.max_retries:
        return None
    try:
        delay = max(0.0, retry.backoff_duration * retry.backoff_factor**attempt)
    except OverflowError:
        return None
    return delay if now + delay <= began + retry.backoff_max_duration else None
