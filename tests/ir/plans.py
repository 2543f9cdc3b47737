"""Small Plans and documents, made by hand."""

from __future__ import annotations

from standpipe.model.plan import (
    Command,
    Component,
    Constant,
    Container,
    Dag,
    ExecutorRef,
    FromInput,
    FromTask,
    Node,
    Plan,
)
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Json,
    ParameterInput,
    ParameterOutput,
    ParameterType,
)

MODEL = ArtifactType("system.Model", "0.0.1")


def training() -> Plan:
    """A pipeline of two tasks: `train` makes a model, `test` takes it and gives a score."""
    train = Component(
        ExecutorRef("exec-train"),
        inputs={"lr": ParameterInput(ParameterType.NUMBER_DOUBLE, optional=True, default=0.5)},
        outputs={"model": ArtifactOutput(MODEL)},
    )
    test = Component(
        ExecutorRef("exec-test"),
        inputs={"model": ArtifactInput(MODEL), "rounds": ParameterInput(ParameterType.NUMBER_INTEGER)},
        outputs={"score": ParameterOutput(ParameterType.NUMBER_DOUBLE)},
    )
    nodes = {
        "train": Node("train", "comp-train", {"lr": FromInput("rate")}),
        "test": Node(
            "test", "comp-test", {"model": FromTask("train", "model"), "rounds": Constant(3)}, after=("train",)
        ),
    }
    root = Component(
        Dag(nodes, {"score": (FromTask("test", "score"),)}),
        inputs={"rate": ParameterInput(ParameterType.NUMBER_DOUBLE)},
        outputs={"score": ParameterOutput(ParameterType.NUMBER_DOUBLE)},
    )
    return Plan(
        name="training",
        root=root,
        components={"comp-train": train, "comp-test": test},
        executors={label: Container("python:3.11", Command(("run",))) for label in ("exec-train", "exec-test")},
    )


def training_document() -> dict[str, Json]:
    """`training()` as the KFP SDK would compile it."""
    return {
        "components": {
            "comp-test": {
                "executorLabel": "exec-test",
                "inputDefinitions": {
                    "artifacts": {"model": {"artifactType": {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"}}},
                    "parameters": {"rounds": {"parameterType": "NUMBER_INTEGER"}},
                },
                "outputDefinitions": {"parameters": {"score": {"parameterType": "NUMBER_DOUBLE"}}},
            },
            "comp-train": {
                "executorLabel": "exec-train",
                "inputDefinitions": {
                    "parameters": {"lr": {"defaultValue": 0.5, "isOptional": True, "parameterType": "NUMBER_DOUBLE"}}
                },
                "outputDefinitions": {
                    "artifacts": {"model": {"artifactType": {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"}}}
                },
            },
        },
        "deploymentSpec": {
            "executors": {
                "exec-test": {"container": {"command": ["run"], "image": "python:3.11"}},
                "exec-train": {"container": {"command": ["run"], "image": "python:3.11"}},
            }
        },
        "pipelineInfo": {"name": "training"},
        "root": {
            "dag": {
                "outputs": {
                    "parameters": {
                        "score": {"valueFromParameter": {"outputParameterKey": "score", "producerSubtask": "test"}}
                    }
                },
                "tasks": {
                    "test": {
                        "cachingOptions": {"enableCache": True},
                        "componentRef": {"name": "comp-test"},
                        "dependentTasks": ["train"],
                        "inputs": {
                            "artifacts": {
                                "model": {"taskOutputArtifact": {"outputArtifactKey": "model", "producerTask": "train"}}
                            },
                            "parameters": {"rounds": {"runtimeValue": {"constant": 3.0}}},
                        },
                        "taskInfo": {"name": "test"},
                    },
                    "train": {
                        "cachingOptions": {"enableCache": True},
                        "componentRef": {"name": "comp-train"},
                        "inputs": {"parameters": {"lr": {"componentInputParameter": "rate"}}},
                        "taskInfo": {"name": "train"},
                    },
                },
            },
            "inputDefinitions": {"parameters": {"rate": {"parameterType": "NUMBER_DOUBLE"}}},
            "outputDefinitions": {"parameters": {"score": {"parameterType": "NUMBER_DOUBLE"}}},
        },
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.3",
    }


#: Where things are in that document.
TRAIN = "root.dag.tasks.train"
TEST = "root.dag.tasks.test"
EXECUTOR = "deploymentSpec.executors.exec-train.container"


def changed(path: str, value: Json) -> dict[str, Json]:
    """`training_document()` with `value` at a path; None takes the field away."""
    document = training_document()
    *way, last = path.split(".")
    place: Json = document
    for key in way:
        place = place.setdefault(key, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document
