"""Components loaded from text and files: compiled ones, and those of version 1."""

from pathlib import Path
from typing import List, Optional

from corpus import nested, shared
from corpus.components import every_type, optional_inputs, report, train, visualize
from corpus.containers import concatenated_conditions, conditions_on_inputs, every_type_of_output
from corpus.entries import entry, pipeline
from kfp import compiler, dsl
from kfp.components import load_component_from_file, load_component_from_text
from kfp.dsl import Dataset, Input


def reloaded(component, name="reloaded.yml"):
    # .yml, because the tests look at all files that end with .yaml
    compiler.Compiler().compile(component, name)
    return load_component_from_text(Path(name).read_text())


@entry
def loaded_and_compiled():
    return reloaded(every_type)


@entry
def loaded_optional_inputs():
    return reloaded(optional_inputs)


@entry
def loaded_artifacts():
    return reloaded(train)


@entry
def loaded_outputs_of_every_kind():
    return reloaded(visualize)


@entry
def loaded_container():
    return reloaded(conditions_on_inputs)


@entry
def loaded_pipeline():
    return reloaded(nested.in_three)


@entry
def loaded_pipeline_with_groups():
    return reloaded(nested.loops_inside)


@entry
def loaded_json():
    compiler.Compiler().compile(shared.add, "reloaded.json.yml")
    import json

    import yaml

    return load_component_from_text(json.dumps(yaml.safe_load(Path("reloaded.json.yml").read_text())))


@pipeline
def loaded_components_in_a_pipeline(data: Optional[Input[Dataset]] = None):
    reloaded(every_type)(a=1, b=2.0, c="t", d=True, e=[], f={}, g=["a"], h={"k": 1})
    reloaded(optional_inputs)(a=3, data=data)
    reloaded(optional_inputs)()
    made = reloaded(train)(data=shared.make_data().outputs["data"], rate=0.5).set_cpu_limit("1")
    shared.use_model(model=made.outputs["model"])
    reloaded(concatenated_conditions)(a="a")
    outputs = reloaded(every_type_of_output)()
    shared.echo(x=outputs.outputs["a"])


@pipeline
def loaded_components_in_groups(ns: List[int]):
    add = reloaded(shared.add)
    with dsl.ExitHandler(reloaded(report)(note="over")):
        with dsl.ParallelFor(ns) as n:
            made = add(a=n, b=1)
            with dsl.If(made.output == 2):
                add(a=made.output, b=n)
        reloaded(shared.total)(values=dsl.Collected(made.output))


@pipeline
def loaded_pipelines_in_a_pipeline(ns: List[int]) -> List[int]:
    first = reloaded(nested.in_three)(x=1)
    second = reloaded(nested.loops_inside)(ns=ns, text=f"{first.output}")
    reloaded(nested.prepare)()
    return second.output


@pipeline
def loaded_pipeline_in_groups():
    in_three = reloaded(nested.in_three)
    with dsl.ParallelFor([1, 2]) as n:
        made = in_three(x=n)
        in_three(x=made.output)
    shared.total(values=dsl.Collected(made.output))


@entry
def loaded_with_a_config():
    return reloaded(nested.with_a_config_of_its_own)


@entry
def loaded_from_a_file_and_used_twice():
    compiler.Compiler().compile(shared.echo, "echo.yml")
    echo = load_component_from_file("echo.yml")

    def twice(x: int):
        echo(x=echo(x=x).output)

    return dsl.pipeline(twice)


@entry
def loaded_with_a_hand_written_text():
    return load_component_from_text("""
pipelineInfo: {name: by-hand}
schemaVersion: 2.1.0
sdkVersion: kfp-2.17.3
components:
  comp-by-hand:
    executorLabel: exec-by-hand
    inputDefinitions:
      parameters:
        text: {parameterType: STRING, defaultValue: d, isOptional: true, description: A text.}
    outputDefinitions:
      artifacts:
        data: {artifactType: {schemaTitle: system.Dataset, schemaVersion: 0.0.1}}
deploymentSpec:
  executors:
    exec-by-hand:
      container:
        image: alpine
        command: [sh, -c, "echo $0"]
        args: ["{{$.inputs.parameters['text']}}", "{{$.outputs.artifacts['data'].path}}"]
root:
  dag:
    outputs:
      artifacts:
        data: {artifactSelectors: [{outputArtifactKey: data, producerSubtask: by-hand}]}
    tasks:
      by-hand:
        cachingOptions: {enableCache: true}
        componentRef: {name: comp-by-hand}
        inputs:
          parameters:
            text: {componentInputParameter: text}
        taskInfo: {name: by-hand}
  inputDefinitions:
    parameters:
      text: {parameterType: STRING, defaultValue: d, isOptional: true}
  outputDefinitions:
    artifacts:
      data: {artifactType: {schemaTitle: system.Dataset, schemaVersion: 0.0.1}}
""")


MINIMAL = """
name: Minimal
implementation:
  container: {image: alpine}
"""

EVERY_INPUT = """
name: Every input
description: "One of each type: é"
metadata:
  annotations: {author: somebody}
  labels: {kind: test}
inputs:
- {name: a string, type: String, description: A string.}
- {name: text, type: Text, default: it's}
- {name: str, type: str, default: ''}
- {name: Integer, type: Integer, default: '3'}
- {name: int, type: int, default: 4}
- {name: Float, type: Float, default: '0.5'}
- {name: double, type: Double, default: 2}
- {name: flag, type: Bool, default: 'True'}
- {name: other flag, type: Boolean, default: false}
- {name: List, type: List, default: '[1, "a"]'}
- {name: array, type: JsonArray, default: '[]'}
- {name: Dict, type: Dict, default: '{"k": [1]}'}
- {name: object, type: JsonObject, default: '{}'}
- {name: maybe, type: String, optional: true}
- {name: maybe number, type: Integer, optional: true, default: '7'}
- {name: generic, type: 'List[str]', optional: true}
- {name: data, type: Dataset}
- {name: model, type: Model, optional: true}
- {name: untyped}
- {name: unknown, type: CSV}
- {name: structured, type: {GCSPath: {data_type: CSV}}}
- {name: google, type: google.VertexModel}
- {name: any, type: Artifact}
outputs:
- {name: out string, type: String, description: A string.}
- {name: out int, type: Integer}
- {name: out list, type: List}
- {name: out data, type: Dataset}
- {name: out untyped}
- {name: out unknown, type: CSV}
- {name: out google, type: google.VertexModel}
- {name: metrics, type: Metrics}
implementation:
  container:
    image: registry.example/tool:1
    command:
    - tool
    - --string
    - {inputValue: a string}
    - {inputValue: Integer}
    - {inputValue: flag}
    - {inputPath: data}
    - {inputPath: untyped}
    - {inputUri: google}
    - {outputPath: out string}
    - {outputPath: out data}
    - {outputUri: out untyped}
    args:
    - --list={{$.inputs.parameters['list']}}
    - {concat: [--double=, {inputValue: double}]}
    - if:
        cond: {isPresent: maybe}
        then: [--maybe, {inputValue: maybe}]
        else: [--nothing]
    - if:
        cond: {isPresent: model}
        then: [--model, {inputUri: model}]
    - {executorInput: null}
    env:
      A: b
"""

CONDITIONS = """
name: conditions
inputs:
- {name: a, type: String, optional: true}
- {name: b, type: String, default: B}
implementation:
  container:
    image: alpine
    command: [sh, -c]
    args:
    - if: {cond: {isPresent: a}, then: single, else: [other]}
    - if:
        cond: {isPresent: a}
        then:
        - {concat: [a=, {inputValue: a}]}
        - if: {cond: {isPresent: b}, then: [{inputValue: b}], else: ['no']}
    - concat:
      - --x=
      - {inputValue: b}
      - {concat: [y, {inputValue: a}]}
"""


@entry
def version_1_minimal():
    return load_component_from_text(MINIMAL)


@entry
def version_1_with_every_input():
    return load_component_from_text(EVERY_INPUT)


@entry
def version_1_conditions():
    return load_component_from_text(CONDITIONS)


@entry
def version_1_without_a_name():
    return load_component_from_text("implementation: {container: {image: alpine, command: [echo, hello]}}")


@entry
def version_1_with_a_status():
    return load_component_from_text("""
name: Report it
inputs:
- {name: status, type: PipelineTaskFinalStatus}
- {name: note, type: String, default: n}
implementation:
  container:
    image: alpine
    command: [echo, {inputValue: status}, {inputValue: note}]
""")


@entry
def version_1_with_odd_names():
    return load_component_from_text("""
name: 'Odd: names (2)'
inputs:
- {name: 'Max. depth', type: Integer, default: '3'}
- {name: learning-rate, type: Float, default: '0.1'}
- {name: UPPER_case, type: String, default: u}
outputs:
- {name: 'Best model!', type: Model}
- {name: 'a--b', type: String}
implementation:
  container:
    image: alpine
    command: [fit, {inputValue: 'Max. depth'}, {inputValue: learning-rate}, {inputValue: UPPER_case}]
    args: [{outputPath: 'Best model!'}, {outputPath: 'a--b'}]
""")


SUM = """
name: Sum up
inputs:
- {name: x, type: Integer}
- {name: y, type: Integer, default: '1'}
- {name: data, type: Dataset, optional: true}
outputs:
- {name: total, type: Integer}
- {name: table, type: Dataset}
implementation:
  container:
    image: alpine
    command: [sum, {inputValue: x}, {inputValue: y}, {outputPath: total}, {outputPath: table}]
    args:
    - if: {cond: {isPresent: data}, then: [--data, {inputPath: data}]}
"""


@pipeline
def version_1_in_a_pipeline(x: int) -> int:
    sum_up = load_component_from_text(SUM)
    first = sum_up(x=x)
    second = sum_up(x=first.outputs["total"], y=3, data=first.outputs["table"]).set_cpu_limit("1")
    shared.use_data(data=second.outputs["table"])
    return second.outputs["total"]


@pipeline
def version_1_in_groups(ns: List[int]):
    sum_up = load_component_from_text(SUM)
    with dsl.ParallelFor(ns) as n:
        made = sum_up(x=n)
        with dsl.If(made.outputs["total"] > 3):
            sum_up(x=made.outputs["total"], data=made.outputs["table"])
    shared.merge(parts=dsl.Collected(made.outputs["table"]))
    with dsl.ExitHandler(load_component_from_text(CONDITIONS)(a="x")):
        sum_up(x=1)


@pipeline
def version_1_called_with_everything(data: Input[Dataset]):
    thing = shared.make_data().outputs["data"]
    every = load_component_from_text(EVERY_INPUT)
    every(
        a_string="s", integer=5, list=[1], dict={"k": 1}, maybe="m", data=data, untyped=thing, unknown=thing,
        structured=thing, google=shared_google(), any=data,
    )  # fmt: skip


def shared_google():
    class Vertex(dsl.Artifact):
        schema_title = "google.VertexModel"

    return dsl.importer("gs://x", Vertex).output
