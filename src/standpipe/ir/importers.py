"""Importers: executors that make an artifact of what exists already."""

from __future__ import annotations

from standpipe.errors import SpecError
from standpipe.ir.numbers import check_value, whole
from standpipe.ir.section import Section
from standpipe.model.plan import FromInput, Importer
from standpipe.model.templates import parse_value, print_value
from standpipe.model.types import ArtifactType, Json
from standpipe.model.values import preview


def emit_importer(importer: Importer, path: str) -> dict[str, Json]:
    """The fields of `ImporterSpec` for the executor at `path`.

    Raises:
        SpecError: if the metadata is no JSON.
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
    """The opposite of `emit_importer`.

    Raises:
        SpecError: if a field is missing, or the URI is no text.
    """
    importer = Importer(
        uri=_load_uri(section.section("artifactUri")),
        type=load_type(section.section("typeSchema")),
        metadata=parse_value(whole(section.take("metadata", {}))),
        reimport=section.take("reimport", False),
        download_to_workspace=section.take("downloadToWorkspace", False),
    )
    section.end()
    return importer


def _load_uri(section: Section) -> str | FromInput:
    uri: str | FromInput
    if "constant" in section:
        uri = section.take("constant")
        if not isinstance(uri, str):
            raise SpecError(f"{section.at('constant')}: it is {preview(uri)}, and a URI is text")
    else:
        uri = FromInput(section.required("runtimeParameter"))
    section.end()
    return uri


def emit_type(schema: ArtifactType) -> dict[str, Json]:
    """The fields of `ArtifactTypeSchema`."""
    return {"schemaTitle": schema.schema_title, "schemaVersion": schema.schema_version}


def load_type(section: Section) -> ArtifactType:
    """The opposite of `emit_type`.

    Raises:
        SpecError: if the title is missing.
        UnsupportedError: for a schema by its URI or its text.
    """
    title, version = section.take("schemaTitle", ""), section.take("schemaVersion", "")
    section.end()  # a schema by URI or by its text is unsupported rather than missing
    if not title:
        raise SpecError(f"{section.at('schemaTitle')}: it is missing")
    return ArtifactType(title, version)
