"""importer: URIs and metadata from everywhere, every class of artifacts."""

from typing import List

from corpus.entries import pipeline
from corpus.shared import coin, fit, make_data, say, several, use_any, use_data, use_model, words
from kfp import dsl
from kfp.dsl import (
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Input,
    Markdown,
    Metrics,
    Model,
    SlicedClassificationMetrics,
)


class Picture(Artifact):
    schema_title = "google.Picture"
    schema_version = "2.0.1"


@pipeline
def import_data():
    use_data(data=dsl.importer("gs://bucket/data", artifact_class=Dataset).output)


@pipeline
def import_of_a_parameter(uri: str, other: str = "s3://x"):
    use_data(data=dsl.importer(artifact_uri=uri, artifact_class=Dataset).output)
    dsl.importer(other, Model, reimport=True)


@pipeline
def import_of_an_output():
    use_data(data=dsl.importer(artifact_uri=say(text="gs://x").output, artifact_class=Dataset).output)
    dsl.importer(several().outputs["text"], Artifact)


@pipeline
def import_of_a_text_with_channels(bucket: str):
    name = coin()
    dsl.importer(artifact_uri=f"gs://{bucket}/data", artifact_class=Dataset)
    dsl.importer(artifact_uri=f"gs://{bucket}/{name.output}", artifact_class=Dataset)
    dsl.importer(artifact_uri=f"{dsl.PIPELINE_ROOT_PLACEHOLDER}/x", artifact_class=Dataset)


@pipeline
def import_of_loop_items(uris: List[str], anything: list):
    with dsl.ParallelFor(uris) as uri:
        use_data(data=dsl.importer(artifact_uri=uri, artifact_class=Dataset).output)
    with dsl.ParallelFor(["gs://a", "gs://b"]) as uri:
        dsl.importer(artifact_uri=uri, artifact_class=Model)
    with dsl.ParallelFor([{"uri": "gs://a", "kind": "x"}]) as item:
        dsl.importer(artifact_uri=item.uri, artifact_class=Model)
    with dsl.ParallelFor(anything) as item:
        dsl.importer(artifact_uri=item.uri, artifact_class=Model, metadata={"kind": item.kind, "item": item})
    with dsl.ParallelFor(words().output) as word:
        dsl.importer(artifact_uri=f"gs://{word}", artifact_class=Model)


@pipeline
def import_of_every_class():
    for kind in (
        Artifact, Dataset, Model, Metrics, ClassificationMetrics, SlicedClassificationMetrics, HTML, Markdown, Picture,
    ):  # fmt: skip
        use_any(artifact=dsl.importer(artifact_uri="gs://x", artifact_class=kind).output)


@pipeline
def import_with_metadata():
    dsl.importer(
        artifact_uri="gs://x",
        artifact_class=Dataset,
        metadata={"s": "t", "n": 1, "x": 1.5, "b": True, "l": [1, "a", {"k": []}], "d": {"e": {}}, "none": None},
    )
    dsl.importer("gs://x", Dataset, metadata={})
    dsl.importer("gs://x", Dataset, metadata={"é": "it's {{$.pipeline_job_name}}"})


@pipeline
def import_with_metadata_of_channels(name: str, size: int, tags: List[str], table: dict):
    first = coin()
    dsl.importer(
        artifact_uri="gs://x",
        artifact_class=Dataset,
        metadata={
            "name": name,
            "again": name,
            "size": size,
            "tags": tags,
            "table": table,
            "made": first.output,
            "list": [name, {"deep": size}],
            "text": f"<{name}>",
        },
    )


@pipeline
def import_with_channels_as_keys(name: str, other: str):
    dsl.importer("gs://x", Dataset, metadata={name: "v", f"k-{other}": [f"{other}!"]})


@pipeline
def import_with_uri_and_metadata_of_one_channel(uri: str):
    dsl.importer(uri, Model, reimport=True, metadata={"from": uri})


@pipeline
def import_in_groups(uri: str):
    outside = dsl.importer(uri, Dataset)
    with dsl.If(uri == "gs://x"):
        inside = dsl.importer(uri, Model, metadata={"uri": uri})
        use_model(model=inside.output)
        use_data(data=outside.output)
    with dsl.Else():
        use_model(model=fit(data=outside.output).outputs["model"])


@pipeline
def import_of_either():
    with dsl.If(coin().output == "heads"):
        a = dsl.importer("gs://a", Dataset)
    with dsl.Else():
        b = dsl.importer("gs://b", Dataset)
    use_data(data=dsl.OneOf(a.output, b.output))


@pipeline
def import_or_make() -> Dataset:
    with dsl.If(coin().output == "heads"):
        a = dsl.importer("gs://a", Dataset)
    with dsl.Else():
        b = make_data()
    return dsl.OneOf(a.outputs["artifact"], b.outputs["data"])


@pipeline
def import_returned(uri: str) -> Model:
    return dsl.importer(uri, Model).output


@pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def import_to_the_workspace(uri: str):
    data = dsl.importer(artifact_uri=uri, artifact_class=Dataset, download_to_workspace=True)
    use_data(data=data.output)
    dsl.importer(artifact_uri="gs://x", artifact_class=Model, download_to_workspace=False)


@pipeline
def import_with_settings(uri: str):
    first = dsl.importer(uri, Dataset).set_display_name("Fetch").set_caching_options(False)
    dsl.importer(uri, Dataset).after(first).set_retry(3).set_caching_options(True, "k")


@dsl.pipeline
def fetch(uri: str, kind: str = "k") -> Dataset:
    return dsl.importer(uri, Dataset, metadata={"kind": kind}).output


@pipeline
def import_in_nested_pipelines(data: Input[Dataset]):
    use_data(data=fetch(uri="gs://x").output)
    use_data(data=fetch(uri=coin().output, kind="other").output)
    use_data(data=dsl.importer("gs://y", Dataset).output)
