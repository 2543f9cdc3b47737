"""Pipelines as resources of Kubernetes."""

from corpus import shared
from corpus.compile_arguments import to_compile, with_groups
from corpus.components import add
from corpus.entries import entry
from kfp import compiler, dsl


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def with_platform():
    """With a platform."""
    shared.say(text=dsl.WORKSPACE_PATH_PLACEHOLDER)


@entry(suffix=".manifest.yaml", kubernetes_manifest_format=True)
def manifest():
    return to_compile


@entry(
    suffix=".manifest.yaml",
    kubernetes_manifest_format=True,
    pipeline_name="renamed",
    pipeline_parameters={"a": 3},
    kubernetes_manifest_options=compiler.KubernetesManifestOptions(include_pipeline_manifest=True),
)
def manifest_with_its_pipeline():
    return to_compile


@entry(
    suffix=".manifest.yaml",
    kubernetes_manifest_format=True,
    kubernetes_manifest_options=compiler.KubernetesManifestOptions(
        pipeline_name="p",
        pipeline_display_name="P",
        pipeline_version_name="p-v1",
        pipeline_version_display_name="P v1",
        namespace="team",
        include_pipeline_manifest=True,
    ),
)
def manifest_with_all_options():
    return with_groups


@entry(
    suffix=".manifest.yaml",
    kubernetes_manifest_format=True,
    kubernetes_manifest_options=compiler.KubernetesManifestOptions(namespace="team", pipeline_display_name="Only this"),
)
def manifest_of_a_platform():
    return with_platform


@entry(suffix=".manifest.yaml", kubernetes_manifest_format=True)
def manifest_of_a_component():
    return add


@entry(kubernetes_manifest_options=compiler.KubernetesManifestOptions(namespace="unused"))
def manifest_options_without_the_format():
    return with_groups
