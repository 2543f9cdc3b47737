from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from standpipe.errors import SpecError, StorageError, UnsupportedError
from standpipe.ir.files import dumps, read, read_text, write
from tests.ir.plans import TRAIN, changed, training, training_document

PLATFORMS = {"kubernetes": {"pipelineConfig": {"activeDeadlineSeconds": 5}}}


def test_a_yaml_file(tmp_path: Path) -> None:
    write(training(), tmp_path / "p.yaml")

    assert (tmp_path / "p.yaml").read_text().startswith("# PIPELINE DEFINITION\n# Name: training\n# Inputs:\n")
    assert yaml.safe_load((tmp_path / "p.yaml").read_text()) == training_document()
    assert read(tmp_path / "p.yaml") == training()
    assert os.listdir(tmp_path) == ["p.yaml"]


def test_a_json_file(tmp_path: Path) -> None:
    write(training(), str(tmp_path / "p.json"))

    assert json.loads((tmp_path / "p.json").read_text()) == training_document()
    assert read(str(tmp_path / "p.json")) == training()


def test_platforms_are_a_second_document(tmp_path: Path) -> None:
    plan = replace(training(), platforms=PLATFORMS)

    write(plan, tmp_path / "p.yml")

    assert [*yaml.safe_load_all((tmp_path / "p.yml").read_text())] == [training_document(), {"platforms": PLATFORMS}]
    assert read(tmp_path / "p.yml") == plan
    with pytest.raises(
        SpecError, match=r"a JSON file cannot have platform settings\. Choose a file name that ends with \.yaml"
    ):
        write(plan, tmp_path / "p.json")


def test_the_same_plan_gives_the_same_text() -> None:
    assert dumps(training()) == dumps(read_text(dumps(training())))


def test_a_description_for_the_comment_stays_there() -> None:
    text = dumps(training(), description="Trains.\n\nAnd tests.")
    assert "# Description: Trains." in text
    assert read_text(text) == training()


def test_the_plans_own_description_comes_first() -> None:
    plan = replace(training(), description="exact\n")

    assert "# Description: exact\n# Inputs" in dumps(plan)
    assert read_text(dumps(plan)).description == "exact\n"


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"\xef\xbb\xbf" + dumps(training()).encode())

    assert read(tmp_path / "p.yaml") == training()


def test_another_ending(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"p\.txt: expected a file name that ends with \.yaml"):
        write(training(), tmp_path / "p.txt")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none/p\.yaml cannot be written: No such file or directory\. Choose"):
        write(training(), tmp_path / "none" / "p.yaml")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.yaml").write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write(training(), tmp_path / "p.yaml")

    assert os.listdir(tmp_path) == ["p.yaml"]
    assert (tmp_path / "p.yaml").read_text() == "old"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to(tmp_path / "p.yaml")

    write(training(), tmp_path / "link.yaml")

    assert (tmp_path / "link.yaml").is_symlink()
    assert read(tmp_path / "p.yaml") == training()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"PK\x03\x04\xff\xfe")

    with pytest.raises(
        SpecError, match=r"p\.yaml is not a text file\. Pass the compiled YAML file, not an archive of it"
    ):
        read(tmp_path / "p.yaml")
    with pytest.raises(StorageError, match=r"none\.yaml cannot be read: No such file or directory\. Pass a compiled"):
        read(tmp_path / "none.yaml")
    with pytest.raises(StorageError, match="cannot be read: Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "error", "expected"),
    [
        ("", SpecError, "x.yaml: expected one document, or two with a PlatformSpec, got 0"),
        ("a: 1\n---\nb: 1\n---\nc: 1", SpecError, "x.yaml: expected one document, or two with a PlatformSpec, got 3"),
        ("name: c\nimplementation: {}", SpecError, "x.yaml: implementation.container.image: missing required field"),
        ("name: c\nimplementation: {}\n---\na: 1", SpecError, "x.yaml: expected one document for a component of KFP"),
        ("platforms: {}", SpecError, "x.yaml: platforms: expected a PipelineSpec as the first document"),
        (
            "apiVersion: v1\nkind: Workflow",
            UnsupportedError,
            "x.yaml: kind: unsupported kind of Kubernetes manifest 'Wo",
        ),
        ("a: 1", SpecError, "x.yaml: a: unknown field"),
        (json.dumps(changed(f"{TRAIN}.componentRef.name", "no")), SpecError, f"x.yaml: {TRAIN}.componentRef.name: "),
        (json.dumps(changed(f"{TRAIN}.iteratorPolicy", {})), UnsupportedError, f"x.yaml: {TRAIN}.iteratorPolicy: "),
    ],
)
def test_texts_that_are_not_a_pipeline(text: str, error: type[Exception], expected: str) -> None:
    with pytest.raises(error) as caught:
        read_text(text, origin="x.yaml")

    assert str(caught.value).startswith(expected)
