"""The check of the environments that are kept between runs."""

from __future__ import annotations

from standpipe.doctor.answers import Answer, Surroundings, ok, warning
from standpipe.runners.process.venv import count_environments


def check_environments(surroundings: Surroundings) -> Answer:
    """Count the environments of earlier runs, and those that no run can use any more."""
    complete, broken = count_environments(surroundings.cache / "envs")
    detail = f"{complete} in {surroundings.cache / 'envs'}"
    if broken:
        return warning(
            f"{detail}, and {broken} that cannot be used: incomplete, or of a Python that is gone",
            "Runs build them again when they need them. `standpipe prune` removes them.",
        )
    return ok(detail)
