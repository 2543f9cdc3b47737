"""PipelineSpec <-> Plan: the format that KFP compiles to, and its files. Nothing else imports protobuf or YAML."""

from standpipe.ir.emitter import emit, emit_platforms
from standpipe.ir.files import dumps, read, read_component, read_text, text_of, write, write_manifests
from standpipe.ir.loader import load
from standpipe.ir.manifests import ManifestNames
from standpipe.ir.overrides import override
from standpipe.ir.proto import message, to_protobuf_value

__all__ = [
    "ManifestNames",
    "dumps",
    "emit",
    "emit_platforms",
    "load",
    "message",
    "override",
    "read",
    "read_component",
    "read_text",
    "text_of",
    "to_protobuf_value",
    "write",
    "write_manifests",
]
