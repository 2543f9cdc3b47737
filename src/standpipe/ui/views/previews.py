"""Previews: what a payload contains, read in parts of limited size, whatever a task has put there."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from standpipe.history import Artifact
from standpipe.ui.payloads import OpenFile, Payload, PayloadError, find_payload, is_folder, open_file, open_tree
from standpipe.ui.views.file_types import PICKLE, FileType, decode, recognise
from standpipe.ui.views.folders import read_folder
from standpipe.ui.views.numpy_header import read_numpy_header
from standpipe.ui.views.parquet import read_parquet_info
from standpipe.ui.views.parquet_rows import LIBRARIES, find_library, read_parquet_rows
from standpipe.ui.views.preview import HEAD, Preview, data_uri, location_of
from standpipe.ui.views.tables import MAX_COLUMNS, MAX_ROWS, Table
from standpipe.ui.views.text_previews import preview_text

__all__ = ["Preview", "location_of", "read_preview"]

_HEX_BYTES = 256


def read_preview(artifact: Artifact, root: Path, inner: str = "", *, embed: bool = False) -> Preview:
    """Return a preview of an artifact's payload, or of a file or folder in it. It never fails, and reads at most 10 MB.

    Args:
        artifact: the artifact.
        root: the pipeline root; nothing outside is read.
        inner: a path in the payload, if that is a folder.
        embed: whether images and pages become a part of the preview, if they are small.
    """
    return replace(_read(artifact, root, inner, embed=embed), uri=location_of(artifact), inner=inner)


def _read(artifact: Artifact, root: Path, inner: str, *, embed: bool) -> Preview:
    if not artifact.digest and artifact.exists is False:
        return Preview("none", note="The task wrote no payload: this artifact has its metadata only.")
    try:
        payload = find_payload(artifact, root, inner)
        if inner and not os.path.lexists(payload.path):
            return Preview("none", note="There is no such file in this artifact.")
        if is_folder(payload):
            return _preview_folder(payload, inner)
        with open_file(payload) as file:
            return _preview_file(file, artifact, inner, embed=embed)
    except PayloadError as error:
        return Preview("none", note=str(error))
    except OSError as error:
        return Preview("none", note=f"The payload cannot be read: {error.strerror}.")


def _preview_folder(payload: Payload, inner: str) -> Preview:
    with open_tree(payload) as descriptor:
        folder = read_folder(descriptor, inner)
    return Preview("folder", "Folder", folder, note="" if folder.entries else "The folder is empty.")


def _preview_file(file: OpenFile, artifact: Artifact, inner: str, *, embed: bool) -> Preview:
    head = file.read(HEAD)
    type = recognise(head)
    if not head:
        preview = Preview("none", "Empty file", note="The file is empty.")
    elif type and type.media:
        preview = Preview("image", type.name, data=data_uri(file, type.media) if embed else "")
    elif type:
        preview = _preview_binary(file, head, type)
    else:
        text = decode(head, is_whole=len(head) == file.size)
        preview = preview_text(file, *text, artifact, inner, embed=embed) if text else _hex(head, "Binary file")
    return replace(preview, size=file.size)


def _preview_binary(file: OpenFile, head: bytes, type: FileType) -> Preview:
    if type.ending == ".npy" and (header := read_numpy_header(head)):
        return Preview("numpy", type.name, header)
    if type.ending == ".parquet":
        return _preview_parquet(file) or _hex(head, type.name)
    note = "It is not loaded, since loading a pickle can run code." if type == PICKLE else ""
    return replace(_hex(head, type.name), note=note)


def _preview_parquet(file: OpenFile) -> Preview | None:
    info = read_parquet_info(file.size, file.read)
    if info is None:
        return None
    library = find_library()
    rows = _read_rows(file, library) if library else None
    note = "" if rows is not None else f"Its rows cannot be read by {library}." if library else _no_library()
    columns = info.columns[:MAX_COLUMNS]
    shown = tuple(row for row in rows or () if len(row) == len(columns))
    return Preview("table", "Parquet", Table(columns, shown, info.row_count, len(info.columns)), note=note)


@lru_cache(maxsize=8)  # pages are refreshed often, and a process takes a part of a second
def _read_rows(file: OpenFile, library: str) -> list[tuple[str, ...]] | None:
    return read_parquet_rows(file.descriptor, library, MAX_ROWS, MAX_COLUMNS)


def _no_library() -> str:
    return (
        f"The rows are shown if {' or '.join(LIBRARIES)} is installed where Standpipe is: "
        f"`python -m pip install {LIBRARIES[0]}`."
    )


def _hex(head: bytes, type: str) -> Preview:
    rows = (
        f"{start:08x}  {row.hex(' '):<47}  {''.join(chr(byte) if 32 <= byte < 127 else '·' for byte in row)}"
        for start in range(0, min(len(head), _HEX_BYTES), 16)
        for row in (head[start : min(start + 16, _HEX_BYTES)],)
    )
    return Preview("hex", type, "\n".join(rows))
