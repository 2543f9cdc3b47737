from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from standpipe import components, dsl
from standpipe.errors import SpecError
from standpipe.ir.resources import emit_resources, load_resources, parse_gigabytes
from standpipe.ir.section import Section
from standpipe.model.plan import Resources
from standpipe.model.templates import parse_text

PLACEHOLDER = parse_text("{{$.inputs.parameters['x']}}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000000000", 1),
        ("5K", 5e-06),
        ("5M", 0.005),
        ("5G", 5),
        ("5T", 5000),
        ("5P", 5e6),
        ("5E", 5e9),
        ("1Ki", 1.024e-06),
        ("1Mi", 0.001048576),
        ("1Gi", 1.073741824),
        ("1Ti", 1099.511627776),
        ("1Pi", 1125899.906842624),
        ("1Ei", 1152921504.606846976),
    ],
)
def test_gigabytes(text: str, expected: float) -> None:
    assert parse_gigabytes(text) == expected


def test_nothing_asked_for() -> None:
    assert emit_resources(Resources(), "x") == {}
    assert load_resources(Section({})) == Resources()


def test_placeholders_have_no_number() -> None:
    resources = Resources(cpu_limit=PLACEHOLDER, accelerator_count=PLACEHOLDER, accelerator_type="gpu")

    emitted = emit_resources(resources, "x")

    assert emitted == {
        "resourceCpuLimit": str(PLACEHOLDER),
        "accelerator": {"resourceCount": str(PLACEHOLDER), "resourceType": "gpu", "type": "gpu"},
    }
    assert load_resources(Section(emitted)) == resources


@pytest.mark.parametrize(
    "document",
    [
        {"cpuLimit": 8.0, "memoryLimit": 52.0},
        {"cpuRequest": 0.5, "resourceCpuLimit": "500m", "cpuLimit": 0.5},
        {"memoryRequest": 1.073741824, "accelerator": {"count": 2, "type": "NVIDIA_TESLA_K80"}},
        {"accelerator": {"count": 1, "resourceType": "gpu", "type": "gpu"}},
    ],
)
def test_numbers_without_text_stay_numbers(document: dict[str, Any]) -> None:
    resources = load_resources(Section(copy.deepcopy(document)))

    assert emit_resources(resources, "x") == document


def test_a_setter_gives_a_number_its_text() -> None:
    spec = training_spec()
    spec["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"] = {"cpuLimit": 8.0, "memoryLimit": 2.0}
    train = components.load_component_from_text(json.dumps(spec))

    @dsl.pipeline
    def limited() -> None:
        train().set_cpu_limit("2")

    (executor,) = limited.compile_to_json()["deploymentSpec"]["executors"].values()
    assert executor["container"]["resources"] == {"cpuLimit": 2.0, "resourceCpuLimit": "2", "memoryLimit": 2.0}


def training_spec() -> dict[str, Any]:
    @dsl.component
    def train() -> None:
        pass

    spec: dict[str, Any] = train.compile_to_json()
    return spec


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        (Resources(cpu_request="half"), "resourceCpuRequest: invalid quantity 'half'"),
        (Resources(memory_limit="5 bytes"), "resourceMemoryLimit: invalid quantity '5 bytes'"),
        (Resources(accelerator_count="1.5"), "accelerator.resourceCount: invalid quantity '1.5'"),
    ],
)
def test_invalid_quantities(resources: Resources, field: str) -> None:
    with pytest.raises(SpecError) as caught:
        emit_resources(resources, "exec.resources")

    assert str(caught.value) == f"exec.resources.{field}, expected a quantity such as '0.5', '2' or '1Gi'"
