"""`standpipe compile`: compile a pipeline or component of a script to YAML."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from standpipe import compiler
from standpipe.cli import parsers, script, targets
from standpipe.errors import ArgumentError
from standpipe.model.layout import COMPILED_ENDINGS
from standpipe.support.notices import warn

#: The options of a Kubernetes manifest: fields of `KubernetesManifestOptions`, with their help.
_MANIFEST_OPTIONS = {
    "pipeline_name": "the name of the Pipeline; by default that of the compiled pipeline",
    "pipeline_display_name": "the display name of the Pipeline",
    "pipeline_version_name": "the name of the PipelineVersion; by default that of the Pipeline",
    "pipeline_version_display_name": "the display name of the PipelineVersion",
    "namespace": "the namespace of the resources",
}


def main(arguments: Sequence[str]) -> int:
    """Compile a pipeline or component of a script.

    The flags are those of `kfp dsl compile` (KFP SDK 2.17.3, `kfp/cli/compile_.py`).

    Raises:
        ArgumentError: if the script has no such pipeline, or several and none was named.
        StandpipeError: as `Compiler.compile`.
        BaseException: whatever the script raises when it is imported.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    path, name, output = _resolve(parser, options)
    if path.endswith(COMPILED_ENDINGS) and os.path.exists(path):
        raise ArgumentError(
            f"{path} is a compiled file already. Expected the Python script that defines the pipeline. "
            f"`standpipe run {path}` runs it."
        )
    if options.disable_execution_caching_by_default:
        os.environ["KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT"] = "true"  # the script's tasks read it
    parameters = _parse_parameters(options.pipeline_parameters)
    manifest_options = _read_manifest_options(options)
    module = script.load(path, [], targets.MODULE_NAME, expected="a Python script with a pipeline or component")
    component = targets.select(module, name, path).component
    output = output or f"{component.name}.yaml"
    compiler.Compiler().compile(
        component,
        output,
        pipeline_parameters=parameters,
        type_check=not options.disable_type_check,
        kubernetes_manifest_options=manifest_options,
        kubernetes_manifest_format=options.kubernetes_manifest_format,
    )
    sys.stdout.write(f"{output}\n")
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = parsers.new_parser(
        "compile",
        "Import a script, without its `if __name__ == '__main__'` block, and compile one of its pipelines or "
        "components. The name of the file is printed. The flags are those of `kfp dsl compile`.",
        examples=(
            "standpipe compile train.py  # its only pipeline, to a file named after it",
            "standpipe compile train.py:evaluate out.yaml  # a pipeline or component by its name",
            "standpipe compile train.py --pipeline-parameters '{\"rows\": 500}'  # with other defaults",
            "standpipe dsl compile --py train.py --output out.yaml  # as with the KFP SDK",
        ),
        usage="standpipe compile SCRIPT[:NAME] [OUTPUT] [options]\n"
        "       standpipe compile --py SCRIPT --output OUTPUT [--function NAME] [options]\n"
        "       standpipe dsl compile ...     the same, as in `kfp dsl compile`",
    )
    parser.add_argument(
        "source",
        nargs="?",
        metavar="SCRIPT[:NAME]",
        help="the script, and a name in it, required if it has several pipelines",
    )
    parser.add_argument(
        "target",
        nargs="?",
        metavar="OUTPUT",
        help="the file to write, ending in .yaml; by default named after the pipeline",
    )
    parser.add_argument("--py", metavar="SCRIPT", help="the script, instead of the first argument")
    parser.add_argument("--output", metavar="OUTPUT", help="the file to write, instead of the second argument")
    parser.add_argument("--function", metavar="NAME", help="the pipeline or component, instead of a name after a colon")
    parser.add_argument(
        "--pipeline-parameters", metavar="JSON", help="a JSON object with values that replace the defaults of inputs"
    )
    parser.add_argument(
        "--disable-type-check",
        action="store_true",
        help="accepted for KFP, where it has no effect either: types are checked when the script is imported",
    )
    parser.add_argument(
        "--disable-execution-caching-by-default",
        action="store_true",
        help="compile tasks without caching, unless they set it",
    )
    manifest = parser.add_argument_group("options for a Kubernetes manifest")
    manifest.add_argument(
        "--kubernetes-manifest-format", action="store_true", help="write a Kubernetes manifest of a PipelineVersion"
    )
    for option, text in _MANIFEST_OPTIONS.items():
        manifest.add_argument(_flag(option), metavar="NAME", help=text)
    manifest.add_argument(
        "--include-pipeline-manifest", action="store_true", help="write the manifest of the Pipeline, too"
    )
    return parser


def _resolve(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[str, str, str]:
    """Return the script, the name in it and the file to write; the last two are empty if they are not known."""
    positional = [each for each in (options.source, options.target) if each is not None]
    path = options.py or (positional.pop(0) if positional else "")
    output = options.output or (positional.pop(0) if positional else "")
    if not path:
        parser.error("expected a script: SCRIPT[:NAME], or --py SCRIPT")
    if positional:
        parser.error(f"expected the script and the output once each, got {positional[0]!r} as well")
    if options.py or options.function:
        return path, options.function or "", output
    return (*targets.split(path), output)


def _parse_parameters(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise ArgumentError(f"Invalid --pipeline-parameters: expected a JSON object: {error}.") from error
    if not isinstance(parameters, dict):
        raise ArgumentError(f"Invalid --pipeline-parameters: expected a JSON object, got {text!r}.")
    return parameters


def _read_manifest_options(options: argparse.Namespace) -> compiler.KubernetesManifestOptions | None:
    """Return the options of the manifest; None if none is written."""
    values = {name: getattr(options, name) for name in (*_MANIFEST_OPTIONS, "include_pipeline_manifest")}
    if options.kubernetes_manifest_format:
        return compiler.KubernetesManifestOptions(**values)
    unused = [_flag(name) for name, value in values.items() if value]
    if unused:
        warn(f"{', '.join(unused)} has no effect without --kubernetes-manifest-format.")
    return None


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
