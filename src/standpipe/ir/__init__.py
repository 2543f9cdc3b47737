"""PipelineSpec <-> Plan: the format that KFP compiles to, and its files. Nothing else imports protobuf or YAML."""

from standpipe.ir.emitter import KFP_VERSION, emit, emit_platforms
from standpipe.ir.files import dumps, read, read_text, write
from standpipe.ir.loader import load
from standpipe.ir.overrides import override

__all__ = ["KFP_VERSION", "dumps", "emit", "emit_platforms", "load", "override", "read", "read_text", "write"]
