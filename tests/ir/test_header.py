from __future__ import annotations

from standpipe.ir.header import read_description, write_header

SPEC = {
    "pipelineInfo": {"name": "p"},
    "root": {
        "inputDefinitions": {
            "artifacts": {"data": {"artifactType": {"schemaTitle": "system.Dataset"}}},
            "parameters": {
                "text": {"parameterType": "STRING", "defaultValue": "it's"},
                "a": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3.0},
                "items": {"parameterType": "LIST", "defaultValue": [1.0, {"k": True}]},
                "z": {"parameterType": "BOOLEAN"},
            },
        },
        "outputDefinitions": {"parameters": {"Output": {"parameterType": "NUMBER_DOUBLE"}}},
    },
}


def test_it_is_the_sdks() -> None:
    assert write_header(SPEC, "First.\n\n  Second.") == (
        "# PIPELINE DEFINITION\n"
        "# Name: p\n"
        "# Description: First.\n"
        "#              \n"
        "#                Second.\n"
        "# Inputs:\n"
        "#    a: int [Default: 3.0]\n"
        "#    data: system.Dataset\n"
        "#    items: list [Default: [1.0, {'k': True}]]\n"
        "#    text: str [Default: 'it's']\n"
        "#    z: bool\n"
        "# Outputs:\n"
        "#    Output: float\n"
    )


def test_the_description_is_read_back() -> None:
    for description in ("First.\n\n  Second.", "One", ""):
        assert read_description(write_header(SPEC, description) + "components: {}\n") == description
    assert read_description("components: {}\n") == ""


def test_without_anything() -> None:
    assert write_header({"pipelineInfo": {"name": "p"}, "root": {}}, "") == "# PIPELINE DEFINITION\n# Name: p\n"


def test_line_breaks_and_control_characters_cannot_leave_the_comment() -> None:
    default = {"text": {"parameterType": "STRING", "defaultValue": "a\nb: 1\x1b\u2028é"}}
    root = {"inputDefinitions": {"parameters": default}}

    header = write_header({"pipelineInfo": {"name": "p"}, "root": root}, "one\x00")

    assert "# Description: one\\x00\n" in header
    assert "#    text: str [Default: 'a\\nb: 1\\x1b\\u2028é']\n" in header
