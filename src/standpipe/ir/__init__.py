"""PipelineSpec <-> Plan: the format that KFP compiles to, and its files. Nothing else imports protobuf or YAML."""

from standpipe.ir.emitter import KFP_VERSION, emit, emit_platforms
from standpipe.ir.files import dumps, read, read_text, text_of, write
from standpipe.ir.header import read_description
from standpipe.ir.loader import load
from standpipe.ir.overrides import override
from standpipe.ir.proto import to_protobuf_value

__all__ = [
    "KFP_VERSION",
    "dumps",
    "emit",
    "emit_platforms",
    "load",
    "override",
    "read",
    "read_description",
    "read_text",
    "text_of",
    "to_protobuf_value",
    "write",
]
