"""The law of this package: what is written is read back as it was."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from tests.ir.strategies import exact, plans

from standpipe import ir
from standpipe.model.plan import Plan

generously = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@generously
@given(plans())
def test_a_plan_survives_the_documents(plan: Plan) -> None:
    loaded = ir.load(ir.emit(plan), ir.emit_platforms(plan))

    assert loaded == plan
    assert exact(loaded) == exact(plan)


@generously
@given(plans())
def test_a_plan_survives_the_file(plan: Plan) -> None:
    assert ir.read_text(ir.dumps(plan)) == plan
