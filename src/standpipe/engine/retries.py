"""When a failed attempt is followed by another one."""

from __future__ import annotations

from standpipe.model.plan import Retry

#: How many attempts at a task may be lost with machines before such a loss counts as a failure of the task.
MOST_LOST_ATTEMPTS = 3


def compute_retry_delay(retry_index: int, retry: Retry, first_started_at: float, now: float) -> float | None:
    """Return the seconds until the next attempt, or None if there is none.

    As on a cluster (`maxDuration` of Argo's retry strategy), no attempt starts later than `backoff_max_duration` after
    the first one.

    Args:
        retry_index: that of the attempt that has failed.
        retry: what the author of the pipeline allows.
        first_started_at: when the attempt with the retry index 0 started, in seconds since the epoch.
        now: when the attempt failed, in seconds since the epoch.
    """
    if retry_index >= retry.max_retries:
        return None
    try:
        delay = max(0.0, retry.backoff_duration * retry.backoff_factor**retry_index)
    except OverflowError:
        return None
    return delay if now + delay <= first_started_at + retry.backoff_max_duration else None
