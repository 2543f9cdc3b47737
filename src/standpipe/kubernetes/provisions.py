"""What the user provides in place of a cluster's objects: secrets, config maps, and folders for PVCs.

Three forms say the same, and `docs/how-to/kubernetes.md` shows them: a tree of keys (a mapping, or a YAML or JSON
file), the same tree as folders and files, and manifests as `kubectl get -o yaml` prints them. No message holds a value.
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

#: What the option `kubernetes` takes.
Source = Union[str, "os.PathLike[str]", Mapping[str, Any], None]

#: The names of keys that Kubernetes allows; they are names of files, too.
_KEY = re.compile(r"(?!\.{1,2}$)[-._a-zA-Z0-9]{1,253}")

_FILES = (".yaml", ".yml", ".json")
_CLAIMS = "pvcs"


class Kind(Enum):
    """The objects that hold data under keys. The value is what messages call one."""

    SECRET = "secret"  # noqa: S105 - a word, and no secret
    CONFIG_MAP = "config map"

    @property
    def plural(self) -> str:
        """What all of them are called in a file or folder: kubectl's own name."""
        return "secrets" if self is Kind.SECRET else "configmaps"


@dataclass
class Provisions:
    """The objects that are at hand.

    `origin` is what messages call their source, empty where the user named none. `data` has the bytes of each key;
    `claims` the user's own folders for PVCs, by the name of the PVC.
    """

    origin: str = ""
    data: dict[Kind, dict[str, dict[str, bytes]]] = field(default_factory=lambda: {kind: {} for kind in Kind})
    claims: dict[str, Path] = field(default_factory=dict)
    #: Kinds of manifests that were passed over.
    unused: set[str] = field(default_factory=set)


def read(source: Source) -> Provisions:
    """Reads what the option `kubernetes` names; nothing gives no objects.

    Raises:
        ArgumentError: if it cannot be read or is not in one of the three forms; the message says where.
    """
    if source is None:
        return Provisions()
    if isinstance(source, Mapping):
        provisions = Provisions("the mapping kubernetes={...}")
        _take_document(provisions, source, "kubernetes", Path.cwd())
        return provisions
    path = Path(source).expanduser().absolute()
    provisions = Provisions(str(path))
    try:
        if path.is_dir():
            _take_folder(provisions, path)
        else:
            _take_file(provisions, path)
    except OSError as error:
        raise ArgumentError(f"kubernetes={str(source)!r}: {error.filename or path}: {error.strerror}.") from error
    return provisions


def _take_folder(provisions: Provisions, folder: Path) -> None:
    for path in _visible(folder):
        kind = next((kind for kind in Kind if kind.plural == path.name), None)
        if path.is_file() and path.suffix in _FILES:
            _take_file(provisions, path)
        elif kind and path.is_dir():
            for item in _visible(path):
                provisions.data[kind][item.name] = {_key(key.name, item): key.read_bytes() for key in _visible(item)}
        elif path.name == _CLAIMS and path.is_dir():
            provisions.claims.update({claim.name: claim for claim in _visible(path)})
        else:
            raise ArgumentError(
                f"{path} is not understood. A folder for kubernetes= holds secrets/<name>/<key>, "
                f"configmaps/<name>/<key>, pvcs/<name>/, and files with manifests that end in {', '.join(_FILES)}."
            )


def _visible(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))


def _take_file(provisions: Provisions, path: Path) -> None:
    import yaml  # costs 15 ms, and few runs need it

    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except yaml.MarkedYAMLError as error:  # its own text would quote the line, and so perhaps a secret
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ArgumentError(f"{path} cannot be read as YAML: {error.problem}{line}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ArgumentError(f"{path} cannot be read as YAML: {type(error).__name__}.") from None
    for document in documents:
        if document is not None:
            _take_document(provisions, document, str(path), path.parent)


def _take_document(provisions: Provisions, document: object, where: str, base: Path) -> None:
    fields = _mapping(document, where)
    if "kind" in fields:
        _take_manifest(provisions, fields, where)
        return
    for section, content in fields.items():
        at = f"{where}: {section}"
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
                    raise ArgumentError(f"{at}.{name}: the path of a folder is wanted.")
                provisions.claims[name] = base / Path(folder).expanduser()
        else:
            raise ArgumentError(
                f"{at} is not understood: secrets, configmaps and pvcs are, and manifests, which have a 'kind'."
            )


def _take_manifest(provisions: Provisions, manifest: Mapping[str, Any], where: str) -> None:
    kind = str(manifest["kind"])
    if kind.endswith("List") and isinstance(manifest.get("items"), list):
        for index, item in enumerate(manifest["items"]):
            inner = _mapping(item, f"{where}: items[{index}]")
            _take_manifest(provisions, {"kind": kind.removesuffix("List"), **inner}, where)
        return
    if kind not in ("Secret", "ConfigMap"):
        provisions.unused.add(kind)
        return
    metadata = _mapping(manifest.get("metadata"), f"{where}: metadata of a {kind}")
    name = metadata.get("name")
    if not isinstance(name, str):
        raise ArgumentError(f"{where}: a {kind} has no metadata.name.")
    at = f"{where}: {kind} {name!r}"
    encoded, plain = ("data", "stringData") if kind == "Secret" else ("binaryData", "data")
    keys = {key: _decoded(value, f"{at}, {encoded}.{key}") for key, value in _pairs(manifest, encoded, at)}
    keys.update({key: _bytes(value, f"{at}, {plain}.{key}") for key, value in _pairs(manifest, plain, at)})
    provisions.data[Kind.SECRET if kind == "Secret" else Kind.CONFIG_MAP][name] = keys


def _pairs(manifest: Mapping[str, Any], field: str, at: str) -> list[tuple[str, object]]:
    pairs = _mapping(manifest.get(field) or {}, f"{at}, {field}")
    return [(_key(key, at), value) for key, value in pairs.items()]


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ArgumentError(f"{where}: a mapping with text as keys is wanted.")
    return value


def _key(key: str, where: object) -> str:
    if not _KEY.fullmatch(key):
        raise ArgumentError(f"{where}: {key!r} is no key: Kubernetes takes letters, digits, '-', '_' and '.'.")
    return key


def _bytes(value: object, where: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ArgumentError(f"{where} is {type(value).__name__}, and text is wanted: put it in quotes.")
    return value.encode("utf-8", "surrogateescape")


def _decoded(value: object, where: str) -> bytes:
    try:
        return base64.b64decode("".join(value.split()) if isinstance(value, str) else b"?", validate=True)
    except (binascii.Error, ValueError):
        raise ArgumentError(f"{where} is not base64; in a Secret, plain text is written under stringData.") from None
