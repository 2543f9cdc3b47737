"""PipelineSpec <-> Plan: the format that KFP compiles to. Only this package imports protobuf and YAML."""

from standpipe.ir.emitter import emit, emit_platforms
from standpipe.ir.files import dumps, read, read_component, read_file_text, read_text, write, write_manifests
from standpipe.ir.loader import load
from standpipe.ir.manifests import ManifestNames
from standpipe.ir.overrides import override
from standpipe.ir.proto import to_message, to_protobuf_value

__all__ = [
    "ManifestNames",
    "dumps",
    "emit",
    "emit_platforms",
    "load",
    "override",
    "read",
    "read_component",
    "read_file_text",
    "read_text",
    "to_message",
    "to_protobuf_value",
    "write",
    "write_manifests",
]
