"""What users provide: three equivalent formats, and messages without values."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from standpipe.errors import ArgumentError
from standpipe.pods.provisions import Kind, Provisions, read

TREE = {"secrets": {"db": {"user": "me", "pw": "s3cret"}}, "configmaps": {"app": {"mode": "fast"}}}

MANIFESTS = f"""
apiVersion: v1
kind: Secret
metadata: {{name: db, namespace: kubeflow}}
type: Opaque
data:
  user: {base64.b64encode(b"overruled").decode()}
  pw: {base64.b64encode(b"s3cret").decode()}
stringData:
  user: me
---
---
kind: ConfigMap
metadata: {{name: app}}
data: {{mode: fast}}
"""


def contents(provisions: Provisions) -> dict[str, dict[str, dict[str, bytes]]]:
    return {kind.plural: provisions.data[kind] for kind in Kind}


def as_bytes(tree: dict[str, Any]) -> dict[str, dict[str, dict[str, bytes]]]:
    return {
        section: {name: {key: value.encode() for key, value in keys.items()} for name, keys in objects.items()}
        for section, objects in tree.items()
    }


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for section, objects in TREE.items():
        for name, keys in objects.items():
            (tmp_path / "k8s" / section / name).mkdir(parents=True)
            for key, value in keys.items():
                (tmp_path / "k8s" / section / name / key).write_text(value)
    return tmp_path / "k8s"


def test_all_formats_are_equivalent(tmp_path: Path, tree: Path) -> None:
    short, manifests = tmp_path / "short.yaml", tmp_path / "manifests.yaml"
    short.write_text(json.dumps(TREE))
    manifests.write_text(MANIFESTS)
    for source in (TREE, short, str(manifests), tree):
        assert contents(read(source)) == as_bytes(TREE), source


def test_nothing_is_provided_where_nothing_is_named() -> None:
    assert read(None) == Provisions()


def test_a_list_of_manifests_is_what_kubectl_prints_for_several(tmp_path: Path) -> None:
    items = [
        {"kind": "ConfigMap", "metadata": {"name": "a"}, "binaryData": {"raw": base64.b64encode(b"\xff\0").decode()}},
        {"kind": "Secret", "metadata": {"name": "b"}, "data": None},
        {"kind": "Deployment", "metadata": {"name": "c"}},
    ]
    (tmp_path / "all.yaml").write_text(json.dumps({"kind": "List", "items": items}))
    (tmp_path / "some.yaml").write_text(json.dumps({"kind": "SecretList", "items": [{"metadata": {"name": "d"}}]}))
    provisions = read(tmp_path)
    assert provisions.data == {Kind.CONFIG_MAP: {"a": {"raw": b"\xff\0"}}, Kind.SECRET: {"b": {}, "d": {}}}
    assert provisions.ignored_kinds == {"Deployment"}


def test_folders_of_pvcs_are_relative_to_who_names_them(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "pvcs" / "data").mkdir(parents=True)
    (tree / ".git").mkdir()
    (tree / "more.yaml").write_text("pvcs: {other: sub/other, home: ~/data}")
    monkeypatch.setenv("HOME", "/home/me")
    assert read(tree).claims == {
        "data": tree / "pvcs" / "data",
        "other": tree / "sub/other",
        "home": Path("/home/me/data"),
    }
    monkeypatch.chdir(tmp_path)
    assert read({"pvcs": {"data": "here"}}).claims == {"data": tmp_path / "here"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secrets: {db: {pw: 5432001}}", "secrets.db.pw: expected text, got int: put it in quotes"),
        ("secrets: {db: 5432001}", "secrets.db: expected a mapping"),
        ("secrets: {db: {a/b: '5432001'}}", "invalid key 'a/b'"),
        ("secrets: {db: {'..': '5432001'}}", "invalid key '..'"),
        ("secret: {db: {pw: '5432001'}}", "secret: unknown key, expected one of secrets, configmaps, pvcs"),
        ("pvcs: {data: 5432001}", "pvcs.data: expected the path of a folder"),
        ("{kind: Secret, metadata: {name: db}, data: {pw: '5432001'}}", "'db', data.pw: invalid base64"),
        ("{kind: Secret, data: {pw: '5432001'}}", "metadata of a Secret: expected a mapping"),
        ("{kind: Secret, metadata: {}, data: {pw: '5432001'}}", "expected metadata.name in a Secret"),
        ("{kind: List, items: [5432001]}", "items[0]: expected a mapping"),
        ("- 5432001", "expected a mapping"),
        ("pw: '5432001", "cannot be read as YAML: found unexpected end of stream (line 1)"),
        ("pw: !!python/object:os.system 5432001", "cannot be read as YAML"),
        ("pw: \x01 5432001", "cannot be read as YAML"),
    ],
)
def test_an_invalid_source_is_named_without_its_value(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "k8s.yaml"
    file.write_text(text)
    with pytest.raises(ArgumentError) as caught:
        read(file)
    assert said in str(caught.value)
    assert "5432001" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_folder_holds_nothing_else(tree: Path) -> None:
    (tree / "secret").mkdir()
    with pytest.raises(ArgumentError, match=r"Unexpected file or folder .*/secret: expected secrets/<name>/<key>"):
        read(tree)


def test_a_key_that_is_a_folder_cannot_be_read(tree: Path) -> None:
    (tree / "secrets" / "db" / "deeper").mkdir()
    with pytest.raises(ArgumentError, match=r"deeper: Is a directory"):
        read(tree)
