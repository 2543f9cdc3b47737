"""No valid Plan, and no settings of a platform, make a rule fail."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standpipe.check.checker import Checker
from standpipe.check.formats import render
from standpipe.check.rules.objects import _OBJECTS
from standpipe.check.selection import ALL, Selection
from standpipe.model.frozen import replace
from standpipe.model.plan import Plan
from tests.ir.strategies import plans

EVERYTHING = Selection((ALL, "SP041", "SP046"))
NAMES = [*_OBJECTS, "genericEphemeralVolume", "emptyDirMounts", "podMetadata", "labels", "accessModes", "mountPath"]
NAMES += ["pvcNameParameter", "secretNameParameter", "runtimeValue", "constant", "taskOutputParameter", "keyToEnv"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


def check(plan: Plan) -> None:
    findings = Checker(EVERYTHING).check(plan)

    for each in findings:
        assert each.finding.path
        assert each.finding.message
        assert each.finding.fix.endswith((".", "`"))
    json.loads(render(findings, "json", pipelines=1, version="1"))
    render(findings, "text", pipelines=1, version="1")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_any_plan_can_be_checked(plan: Plan) -> None:
    check(plan)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), st.dictionaries(st.sampled_from(NAMES), json_values, max_size=4))
def test_any_settings_can_be_checked(plan: Plan, config: dict[str, Any]) -> None:
    executors = dict.fromkeys(plan.executors, config)
    platform = {"pipelineConfig": {"workspace": config}, "deploymentSpec": {"executors": executors}}

    check(replace(plan, platforms={"kubernetes": platform}))
