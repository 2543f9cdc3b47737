"""Importers: executors that make an artifact of an existing URI."""

from __future__ import annotations

from standpipe.errors import SpecError
from standpipe.ir.numbers import check_value, convert_whole_doubles
from standpipe.ir.section import Section
from standpipe.model.plan import FromInput, Importer
from standpipe.model.templates import parse_value, print_value
from standpipe.model.types import ArtifactType, Json
from standpipe.model.values import preview


def emit_importer(importer: Importer, path: str) -> dict[str, Json]:
    """Return the fields of `ImporterSpec` for the executor at `path`.

    Raises:
        SpecError: if the metadata is not JSON.
    """
    metadata = print_value(dict(importer.metadata))
    check_value(metadata, f"{path}.metadata")
    uri = importer.uri
    return {
        "artifactUri": {"runtimeParameter": uri.input} if isinstance(uri, FromInput) else {"constant": uri},
        "typeSchema": emit_type(importer.type),
        **({"metadata": metadata} if metadata else {}),
        "reimport": importer.reimport,
        "downloadToWorkspace": importer.download_to_workspace,
    }


def load_importer(section: Section) -> Importer:
    """Return the importer with these fields: the inverse of `emit_importer`.

    Raises:
        SpecError: if a field is missing, or the URI is not text.
    """
    importer = Importer(
        uri=_load_uri(section.take_section("artifactUri")),
        type=load_type(section.take_section("typeSchema")),
        metadata=parse_value(convert_whole_doubles(section.take("metadata", {}))),
        reimport=section.take("reimport", False),
        download_to_workspace=section.take("downloadToWorkspace", False),
    )
    section.check_all_taken()
    return importer


def _load_uri(section: Section) -> str | FromInput:
    uri: str | FromInput
    if "constant" in section:
        uri = section.take("constant")
        if not isinstance(uri, str):
            raise SpecError(f"{section.path_of('constant')}: expected a URI as text, got {preview(uri)}")
    else:
        uri = FromInput(section.take_text("runtimeParameter"))
    section.check_all_taken()
    return uri


def emit_type(schema: ArtifactType) -> dict[str, Json]:
    """Return the fields of `ArtifactTypeSchema`."""
    return {"schemaTitle": schema.schema_title, "schemaVersion": schema.schema_version}


def load_type(section: Section) -> ArtifactType:
    """Return the artifact type with these fields: the inverse of `emit_type`.

    Raises:
        SpecError: if the title is missing.
        UnsupportedError: if the schema is specified by a URI or inline.
    """
    title, version = section.take("schemaTitle", ""), section.take("schemaVersion", "")
    section.check_all_taken()  # a schema by URI or inline is unsupported rather than missing
    if not title:
        raise SpecError(f"{section.path_of('schemaTitle')}: missing required field")
    return ArtifactType(title, version)
