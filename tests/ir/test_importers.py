from __future__ import annotations

import pytest

from standpipe.errors import SpecError, UnsupportedError
from standpipe.ir.importers import emit_importer, load_importer
from standpipe.ir.proto import canonicalize
from standpipe.ir.section import Section
from standpipe.model.plan import FromInput, Importer
from standpipe.model.templates import parse_value
from standpipe.model.types import Json
from tests.ir.plans import MODEL
from tests.ir.strategies import exact

TYPE = {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"}


@pytest.mark.parametrize(
    ("importer", "fields"),
    [
        (Importer("gs://bucket/x", MODEL), {"artifactUri": {"constant": "gs://bucket/x"}, "typeSchema": TYPE}),
        (Importer(FromInput("uri"), MODEL), {"artifactUri": {"runtimeParameter": "uri"}, "typeSchema": TYPE}),
        (
            Importer(
                "",
                MODEL,
                {"n": 3, "f": 2.5, "in": [parse_value("by {{$.inputs.parameters['metadata']}}")]},
                reimport=True,
                download_to_workspace=True,
            ),
            {
                "artifactUri": {"constant": ""},
                "typeSchema": TYPE,
                "metadata": {"n": 3.0, "f": 2.5, "in": ["by {{$.inputs.parameters['metadata']}}"]},
                "reimport": True,
                "downloadToWorkspace": True,
            },
        ),
    ],
)
def test_importers(importer: Importer, fields: dict[str, Json]) -> None:
    executor = {"executors": {"e": {"importer": emit_importer(importer, "e")}}}

    assert canonicalize(executor, "PipelineDeploymentConfig")["executors"]["e"]["importer"] == fields
    assert exact(load_importer(Section(fields))) == exact(importer)


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"typeSchema": TYPE}, SpecError, r"^e\.artifactUri\.runtimeParameter: missing required field"),
        (
            {"artifactUri": {"constant": 1.0}, "typeSchema": TYPE},
            SpecError,
            r"^e\.artifactUri\.constant: expected a URI as text, got 1\.0",
        ),
        ({"artifactUri": {"constant": "x"}}, SpecError, r"^e\.typeSchema\.schemaTitle: missing required field"),
        (
            {"artifactUri": {"constant": "x"}, "typeSchema": {"schemaUri": "y"}},
            UnsupportedError,
            r"^e\.typeSchema\.schemaU",
        ),
        (
            {"artifactUri": {"constant": "x"}, "typeSchema": TYPE, "properties": {}},
            UnsupportedError,
            r"^e\.properties: this version",
        ),
    ],
)
def test_an_invalid_importer_is_rejected(fields: dict[str, Json], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        load_importer(Section(fields, "e"))


def test_metadata_that_cannot_be_written() -> None:
    with pytest.raises(SpecError, match=r"^e\.metadata\['n'\] cannot be compiled: .* stores numbers as doubles"):
        emit_importer(Importer("x", MODEL, {"n": 2**53 + 1}), "e")
