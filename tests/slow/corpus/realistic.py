"""Pipelines as users write them."""

from typing import Dict, List, NamedTuple, Optional

import kfp
from corpus.entries import PIN, pipeline
from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, InputPath, Markdown, Metrics, Model, Output, OutputPath


@dsl.component(base_image="python:3.11", packages_to_install=["pandas==2.2.3", "pyarrow"])
def ingest(url: str, table: Output[Dataset], rows: OutputPath(int), sample: float = 1.0) -> None:
    """Downloads a table.

    Args:
        url: Where from.
        table: Where to.
        rows: How many there are.
    """
    import pandas as pd

    frame = pd.read_csv(url).sample(frac=sample)
    frame.to_parquet(table.path)
    table.metadata["columns"] = list(frame.columns)
    with open(rows, "w") as file:
        file.write(str(len(frame)))


@dsl.component(packages_to_install=["pandas==2.2.3", "great_expectations"], **PIN)
def validate(table: Input[Dataset], schema: dict, report: Output[HTML]) -> bool:
    return True


@dsl.component(packages_to_install=["scikit-learn==1.5.2"], **PIN)
def split(
    table: Input[Dataset], train: Output[Dataset], test: Output[Dataset], ratio: float = 0.8, seed: int = 42
) -> NamedTuple("Sizes", [("train_rows", int), ("test_rows", int)]):
    return (80, 20)


@dsl.component(packages_to_install=["scikit-learn==1.5.2", "joblib"], **PIN)
def train(
    data: Input[Dataset], model: Output[Model], metrics: Output[Metrics], params: Dict[str, float], kind: str = "forest"
) -> float:
    """Trains one model and returns its score."""
    metrics.log_metric("score", 0.9)
    model.metadata["kind"] = kind
    return 0.9


@dsl.component(packages_to_install=["scikit-learn==1.5.2"], **PIN)
def evaluate(
    model: Input[Model], data: Input[Dataset], metrics: Output[ClassificationMetrics], notes: Output[Markdown]
) -> float:
    return 0.95


@dsl.component(**PIN)
def pick_best(models: Input[List[Model]], scores: List[float], best: Output[Model]) -> float:
    return max(scores)


@dsl.component(**PIN)
def grid(rates: List[float], depths: List[int]) -> List[Dict[str, float]]:
    return [{"rate": rate, "depth": depth} for rate in rates for depth in depths]


@dsl.component(**PIN)
def send(status: dsl.PipelineTaskFinalStatus, channel: str, link: str = "") -> None:
    print(f"{channel}: {status.state} {link}")


@dsl.component(**PIN)
def write_config(name: str, config: OutputPath("Artifact")) -> None:
    with open(config, "w") as file:
        file.write(name)


@dsl.component(**PIN)
def read_config(config: InputPath("Artifact")) -> str:
    with open(config) as file:
        return file.read()


@dsl.container_component
def deploy(model: Input[Model], name: str, endpoint: OutputPath(str), replicas: int = 1, region: Optional[str] = None):
    """Deploys with a tool of ours."""
    return dsl.ContainerSpec(
        image="registry.example/deployer:3",
        command=["deploy", "--model", model.uri, "--name", name],
        args=[
            dsl.ConcatPlaceholder(["--replicas=", replicas]),
            dsl.IfPresentPlaceholder(input_name="region", then=["--region", region], else_=["--region", "eu"]),
            "--out",
            endpoint,
        ],
    )


@pipeline(name="training-pipeline", description="Trains a model, and deploys it if it is good.")
def training(
    url: str,
    project: str = "demo",
    threshold: float = 0.9,
    schema: dict = {"columns": ["a", "b"]},
    region: Optional[str] = None,
) -> float:
    notice = send(channel="#ml", link=f"https://example.org/{project}/{dsl.PIPELINE_JOB_ID_PLACEHOLDER}")
    with dsl.ExitHandler(notice, name="training"):
        table = ingest(url=url).set_display_name("Ingest").set_retry(3, backoff_duration="1m")
        valid = validate(table=table.outputs["table"], schema=schema)
        parts = split(table=table.outputs["table"]).after(valid)
        fitted = train(data=parts.outputs["train"], params={"rate": 0.1})
        fitted.set_cpu_limit("4").set_memory_limit("16Gi").set_accelerator_type("nvidia.com/gpu")
        checked = evaluate(model=fitted.outputs["model"], data=parts.outputs["test"]).set_caching_options(False)
        with dsl.If(checked.outputs["Output"] >= threshold, name="good enough"):
            deploy(model=fitted.outputs["model"], name=f"{project}-model", region=region)
        with dsl.Else(name="too bad"):
            ingest(url=f"{url}?more")
    return pick().output


@dsl.component(**PIN)
def pick() -> float:
    return 1.0


@pipeline(name="hyperparameter-search")
def search(url: str, rates: List[float] = [0.01, 0.1], depths: List[int] = [2, 3]) -> NamedTuple(
    "Result", [("model", Model), ("score", float), ("all_scores", List[float])]
):
    table = ingest(url=url)
    parts = split(table=table.outputs["table"], ratio=0.7)
    with dsl.ParallelFor(grid(rates=rates, depths=depths).output, name="trials", parallelism=4) as trial:
        fitted = train(data=parts.outputs["train"], params=trial).set_cpu_request("1")
        scored = evaluate(model=fitted.outputs["model"], data=parts.outputs["test"])
    best = pick_best(
        models=dsl.Collected(fitted.outputs["model"]), scores=dsl.Collected(scored.outputs["Output"])
    ).set_display_name("Pick the best")
    return NamedTuple("Result", [("model", Model), ("score", float), ("all_scores", List[float])])(
        best.outputs["best"], best.outputs["Output"], dsl.Collected(scored.outputs["Output"])
    )


@pipeline(name="compare-kinds")
def compare(url: str):
    parts = split(table=ingest(url=url, sample=0.5).outputs["table"])
    with dsl.ParallelFor([{"kind": "forest", "tag": "f"}, {"kind": "linear", "tag": "l"}], parallelism=1) as variant:
        fitted = train(data=parts.outputs["train"], params={"rate": 0.1}, kind=variant.kind)
        evaluate(model=fitted.outputs["model"], data=parts.outputs["test"])
        deploy(model=fitted.outputs["model"], name=variant.tag)


@dsl.pipeline(name="etl-of-one-source")
def extract_and_load(source: str, target: str = "warehouse") -> Dataset:
    table = ingest(url=source)
    config = write_config(name=target)
    read_config(config=config.outputs["config"])
    with dsl.If(table.outputs["rows"] > 0):
        validate(table=table.outputs["table"], schema={})
    return table.outputs["table"]


@pipeline(
    name="etl",
    pipeline_root="s3://bucket/etl",
    pipeline_config=dsl.PipelineConfig(
        workspace=dsl.WorkspaceConfig(size="5Gi"), ttl_seconds_after_finished=86400, active_deadline_seconds=7200
    ),
)
def etl(sources: List[str] = ["https://example.org/a.csv", "https://example.org/b.csv"], day: str = "2026-01-01"):
    with dsl.ParallelFor(sources, parallelism=2) as source:
        loaded = extract_and_load(source=source, target=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/{day}")
        split(table=loaded.output)
    summary = count(tables=dsl.Collected(loaded.output), day=day)
    with dsl.If(summary.output == 0, "nothing came"):
        fail(reason=f"no rows on {day}")


@dsl.component(**PIN)
def count(tables: Input[List[Dataset]], day: str) -> int:
    return len(tables)


@dsl.component(**PIN)
def fail(reason: str) -> None:
    raise RuntimeError(reason)


@pipeline(name="retrain-or-reuse")
def retrain_or_reuse(url: str, model_uri: str, force: bool = False) -> NamedTuple(
    "Out", [("model", Model), ("endpoint", str)]
):
    table = ingest(url=url)
    with dsl.If(force == True):  # noqa: E712
        fitted = train(data=table.outputs["table"], params={})
    with dsl.Elif(table.outputs["rows"] > 1000):
        more = train(data=table.outputs["table"], params={"rate": 0.01}, kind="linear")
    with dsl.Else():
        old = dsl.importer(artifact_uri=model_uri, artifact_class=Model, metadata={"from": model_uri})
    model = dsl.OneOf(fitted.outputs["model"], more.outputs["model"], old.output)
    deployed = deploy(model=model, name="reused", replicas=2)
    return NamedTuple("Out", [("model", Model), ("endpoint", str)])(model, deployed.outputs["endpoint"])


@pipeline(name="batch-prediction")
def batch_prediction(models: Input[List[Model]], batches: List[Dict[str, str]]):
    with dsl.ParallelFor(batches, name="batches") as batch:
        data = dsl.importer(artifact_uri=batch.uri, artifact_class=Dataset, reimport=True)
        with dsl.ParallelFor(models, name="models") as model:
            scored = evaluate(model=model, data=data.output)
            with dsl.If(scored.outputs["Output"] < 0.5):
                fail(reason=f"too bad: {scored.outputs['Output']}")


@pipeline
def hello_world(name: str = "World", version: str = kfp.__version__.split(".")[0]) -> str:
    @dsl.component
    def hello(recipient: str) -> str:
        return f"Hello, {recipient}!"

    return hello(recipient=name).output
