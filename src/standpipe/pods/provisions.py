"""Kubernetes objects that the user provides: secrets, config maps, and folders for PVCs.

There are three equivalent formats, which `docs/how-to/kubernetes.md` describes: a tree of keys (a mapping, or a YAML or
JSON file), the same tree as folders and files, and manifests as `kubectl get -o yaml` prints them. No error message
contains a value.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Union

from standpipe.errors import ArgumentError

#: The values of the option `kubernetes`.
Source = Union[str, "os.PathLike[str]", Mapping[str, Any], None]

#: A valid key in Kubernetes. It is also a safe name of a file.
_KEY = re.compile(r"(?!\.{1,2}$)[-._a-zA-Z0-9]{1,253}")

_FILES = (".yaml", ".yml", ".json")
_CLAIMS = "pvcs"


class Kind(Enum):
    """The kinds of objects that have data by key. The value is the name of the kind in messages."""

    SECRET = "secret"  # noqa: S105 - the name of a kind, not a secret
    CONFIG_MAP = "config map"

    @property
    def plural(self) -> str:
        """The name of the objects of this kind in a file or folder, as in kubectl."""
        return "secrets" if self is Kind.SECRET else "configmaps"


@dataclass
class Provisions:
    """The Kubernetes objects that the user provides.

    `origin` is the name of their source in messages, empty if there is none. `data` has the bytes of each key of each
    object, by kind; `claims` has the user's folders for PVCs, by the name of the PVC. `ignored_kinds` are the kinds of
    manifests that have no use here.
    """

    origin: str = ""
    data: dict[Kind, dict[str, dict[str, bytes]]] = field(default_factory=lambda: {kind: {} for kind in Kind})
    claims: dict[str, Path] = field(default_factory=dict)
    ignored_kinds: set[str] = field(default_factory=set)

    @property
    def secrets(self) -> dict[str, bytes]:
        """The values of all secrets, by their descriptions in messages."""
        secrets = self.data[Kind.SECRET].items()
        return {f"the key {key!r} of the secret {name!r}": data[key] for name, data in secrets for key in data}

    def parse_config(self, config_map: str, key: str) -> object:
        """Return the YAML in a key of a config map; None if it is missing.

        Raises:
            ArgumentError: if it cannot be read as YAML.
        """
        content = self.data[Kind.CONFIG_MAP].get(config_map, {}).get(key)
        location = f"{self.origin}: the key {key!r} of the config map {config_map!r}"
        return None if content is None else next(iter(_parse(content.decode(errors="replace"), location)), None)


def read(source: Source) -> Provisions:
    """Read the objects that the option `kubernetes` names; there are none if it is None.

    Raises:
        ArgumentError: if the source cannot be read or has an unknown format; the message names the location.
    """
    if source is None:
        return Provisions()
    if isinstance(source, Mapping):
        provisions = Provisions("the mapping kubernetes={...}")
        _add_document(provisions, source, "kubernetes", Path.cwd())
        return provisions
    path = Path(source).expanduser().absolute()
    provisions = Provisions(str(path))
    try:
        if path.is_dir():
            _add_folder(provisions, path)
        else:
            _add_file(provisions, path)
    except OSError as error:
        raise ArgumentError(f"kubernetes={str(source)!r}: {error.filename or path}: {error.strerror}.") from error
    return provisions


def _add_folder(provisions: Provisions, folder: Path) -> None:
    for path in _visible(folder):
        kind = next((kind for kind in Kind if kind.plural == path.name), None)
        if path.is_file() and path.suffix in _FILES:
            _add_file(provisions, path)
        elif kind and path.is_dir():
            for item in _visible(path):
                provisions.data[kind][item.name] = {_key(key.name, item): key.read_bytes() for key in _visible(item)}
        elif path.name == _CLAIMS and path.is_dir():
            provisions.claims.update({claim.name: claim for claim in _visible(path)})
        else:
            raise ArgumentError(
                f"Unexpected file or folder {path}: expected secrets/<name>/<key>, configmaps/<name>/<key>, "
                f"pvcs/<name>/, or files with manifests that end in {', '.join(_FILES)}."
            )


def _visible(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))


def _add_file(provisions: Provisions, path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except ValueError as error:
        raise ArgumentError(f"{path} cannot be read as YAML: {type(error).__name__}.") from None
    for document in _parse(text, str(path)):
        if document is not None:
            _add_document(provisions, document, str(path), path.parent)


def _parse(text: str, location: str) -> list[object]:
    """Return the documents in a YAML text."""
    import yaml  # takes 15 ms, and few runs need it

    try:
        return list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:  # its text quotes the line, which can contain a secret
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ArgumentError(f"{location} cannot be read as YAML: {error.problem}{line}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ArgumentError(f"{location} cannot be read as YAML: {type(error).__name__}.") from None


def _add_document(provisions: Provisions, document: object, location: str, base: Path) -> None:
    fields = _mapping(document, location)
    if "kind" in fields:
        _add_manifest(provisions, fields, location)
        return
    for section, content in fields.items():
        at = f"{location}: {section}"
        kind = next((kind for kind in Kind if kind.plural == section), None)
        if kind:
            for name, keys in _mapping(content, at).items():
                pairs = _mapping(keys, f"{at}.{name}")
                provisions.data[kind][name] = {
                    _key(key, f"{at}.{name}"): _bytes(value, f"{at}.{name}.{key}") for key, value in pairs.items()
                }
        elif section == _CLAIMS:
            for name, folder in _mapping(content, at).items():
                if not isinstance(folder, (str, os.PathLike)):
                    raise ArgumentError(f"{at}.{name}: expected the path of a folder.")
                provisions.claims[name] = base / Path(folder).expanduser()
        else:
            raise ArgumentError(
                f"{at}: unknown key, expected one of secrets, configmaps, pvcs, or a manifest, which has a 'kind'."
            )


def _add_manifest(provisions: Provisions, manifest: Mapping[str, Any], location: str) -> None:
    kind = str(manifest["kind"])
    if kind.endswith("List") and isinstance(manifest.get("items"), list):
        for index, item in enumerate(manifest["items"]):
            inner = _mapping(item, f"{location}: items[{index}]")
            _add_manifest(provisions, {"kind": kind.removesuffix("List"), **inner}, location)
        return
    if kind not in ("Secret", "ConfigMap"):
        provisions.ignored_kinds.add(kind)
        return
    metadata = _mapping(manifest.get("metadata"), f"{location}: metadata of a {kind}")
    name = metadata.get("name")
    if not isinstance(name, str):
        raise ArgumentError(f"{location}: expected metadata.name in a {kind}.")
    at = f"{location}: {kind} {name!r}"
    encoded, plain = ("data", "stringData") if kind == "Secret" else ("binaryData", "data")
    keys = {key: _decoded(value, f"{at}, {encoded}.{key}") for key, value in _pairs(manifest, encoded, at)}
    keys.update({key: _bytes(value, f"{at}, {plain}.{key}") for key, value in _pairs(manifest, plain, at)})
    provisions.data[Kind.SECRET if kind == "Secret" else Kind.CONFIG_MAP][name] = keys


def _pairs(manifest: Mapping[str, Any], field: str, at: str) -> list[tuple[str, object]]:
    pairs = _mapping(manifest.get(field) or {}, f"{at}, {field}")
    return [(_key(key, at), value) for key, value in pairs.items()]


def _mapping(value: object, location: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ArgumentError(f"{location}: expected a mapping with text as keys.")
    return value


def _key(key: str, location: object) -> str:
    if not _KEY.fullmatch(key):
        raise ArgumentError(f"{location}: invalid key {key!r}: expected letters, digits, '-', '_' and '.'.")
    return key


def _bytes(value: object, location: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ArgumentError(f"{location}: expected text, got {type(value).__name__}: put it in quotes.")
    return value.encode("utf-8", "surrogateescape")


def _decoded(value: object, location: str) -> bytes:
    try:
        return base64.b64decode("".join(value.split()) if isinstance(value, str) else b"?", validate=True)
    except (binascii.Error, ValueError):
        raise ArgumentError(f"{location}: invalid base64. Use stringData for plain text in a Secret.") from None
