"""Previews: what a payload contains, read in parts of limited size, whatever a task has put there."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union

from markupsafe import Markup

from standpipe.history import Artifact
from standpipe.model.json_values import InvalidJson, parse_json
from standpipe.model.types import Json
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.payloads import OpenFile, Payload, PayloadError, find_payload, is_folder, open_file, open_tree
from standpipe.ui.views.file_types import PICKLE, FileType, decode, is_html, is_svg, recognise
from standpipe.ui.views.folders import Folder, read_folder
from standpipe.ui.views.html_pages import make_static
from standpipe.ui.views.json_tree import JsonNode, json_tree
from standpipe.ui.views.markdown import render_markdown
from standpipe.ui.views.numpy_header import NumpyHeader, read_numpy_header
from standpipe.ui.views.parquet import read_parquet_info
from standpipe.ui.views.parquet_rows import LIBRARIES, find_library, read_parquet_rows
from standpipe.ui.views.tables import MAX_COLUMNS, MAX_ROWS, Table, find_delimiter, read_records, read_table

#: The most bytes that are read: to show a text or the rows of a table, to parse JSON, to count rows, to render
#: Markdown, and of an image or a page that becomes a part of the report.
_HEAD = 256 * 1024
_MAX_JSON = 1024 * 1024
_MAX_COUNTED = 8 * 1024 * 1024
_MAX_MARKDOWN = 32 * 1024
_MAX_EMBEDDED = 512 * 1024
_PIECE = 1024 * 1024

#: The most bytes of a page of HTML that is shown.
MAX_PAGE = 32 * 1024 * 1024

_MAX_LINES = 1000
_MAX_LINE = 2000
_HEX_BYTES = 256

#: All bytes but quotes and the ends of lines.
_NEITHER = bytes(set(range(256)) - set(b'"\n'))

_MARKDOWN, _HTML = "system.Markdown", "system.HTML"

#: What the endings of files in a folder say, if anything; the files of artifacts have none.
_ENDINGS = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".csv": "csv", ".tsv": "tsv"}
_ENDINGS |= dict.fromkeys(
    (".txt", ".log", ".py", ".yaml", ".yml", ".toml", ".sh", ".sql", ".r", ".cfg", ".ini"), "text"
)
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_TABLE_TYPES = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "Table with bars"}

HTML_MEDIA = "text/html; charset=utf-8"

_TEXT = FileType("Text", ".txt")
_TEXT_TYPES = {
    "svg": FileType("SVG image", ".svg", "image/svg+xml"),
    "html": FileType("HTML", ".html", HTML_MEDIA),
    "markdown": FileType("Markdown", ".md"),
    "json": FileType("JSON", ".json"),
    "csv": FileType("CSV", ".csv"),
    "tsv": FileType("TSV", ".tsv"),
    ",": FileType("CSV", ".csv"),
    ";": FileType("CSV", ".csv"),
    "\t": FileType("TSV", ".tsv"),
}

Content = Union[Table, JsonNode, NumpyHeader, Folder, Markup, str, None]


@dataclass(frozen=True)
class Preview:
    """What a payload contains, as far as it is shown.

    `kind` says what `content` is: `table`, `json`, `numpy`, `folder`, `markdown` (markup), `text` (a text), `hex` (a
    text), `html` and `image`, whose content the browser fetches from the address of the payload, and `none`. `type` is
    the type of the file for people, `size` is in bytes, `note` says what is missing or why nothing is shown. `uri` and
    `inner` locate the payload; `data` is what a page without a server needs instead: the `data:` URI of an image, or
    the text of a page. `has_scripts` is whether a page of HTML seems to have scripts.
    """

    kind: str
    type: str = ""
    content: Content = None
    size: int | None = None
    note: str = ""
    uri: str = ""
    inner: str = ""
    data: str = ""
    has_scripts: bool = False


def read_preview(artifact: Artifact, root: Path, inner: str = "", *, embed: bool = False) -> Preview:
    """Return a preview of an artifact's payload, or of a file or folder in it. It never fails, and reads at most 10 MB.

    Args:
        artifact: the artifact.
        root: the pipeline root; nothing outside is read.
        inner: a path in the payload, if that is a folder.
        embed: whether images and pages become a part of the preview, if they are small.
    """
    return replace(_read(artifact, root, inner, embed=embed), uri=location_of(artifact), inner=inner)


def location_of(artifact: Artifact) -> str:
    """Return what identifies an artifact in the addresses of pages: the location of its payload, or else its URI."""
    return str(artifact.path or artifact.uri)


def type_of(head: bytes, artifact: Artifact, inner: str = "") -> FileType:
    """Return the type of a payload that is a file, as its content has it.

    Args:
        head: its first bytes.
        artifact: the artifact.
        inner: the path of the file in it, if that is a folder.
    """
    type, text = recognise(head), decode(head, is_whole=False)
    if type or not text:
        return type or FileType("Binary file", "")
    kind = _kind_of_text(text[0], artifact, inner)
    if not kind:
        kind = "json" if text[0].lstrip().startswith(("{", "[")) else find_delimiter(_cut_line(text[0]))
    return _TEXT_TYPES.get(kind, _TEXT)


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
    head = file.read(_HEAD)
    type = recognise(head)
    if not head:
        preview = Preview("none", "Empty file", note="The file is empty.")
    elif type and type.media:
        preview = Preview("image", type.name, data=_data_uri(file, type.media) if embed else "")
    elif type:
        preview = _preview_binary(file, head, type)
    else:
        text = decode(head, is_whole=len(head) == file.size)
        preview = _preview_text(file, *text, artifact, inner, embed=embed) if text else _hex(head, "Binary file")
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
    rows = read_parquet_rows(file.descriptor, library, MAX_ROWS, MAX_COLUMNS) if library else None
    note = "" if rows is not None else f"Its rows cannot be read by {library}." if library else _no_library()
    columns = info.columns[:MAX_COLUMNS]
    shown = tuple(row for row in rows or () if len(row) == len(columns))
    return Preview("table", "Parquet", Table(columns, shown, info.row_count, len(info.columns)), note=note)


def _no_library() -> str:
    return (
        f"The rows are shown if {' or '.join(LIBRARIES)} is installed where Standpipe is: "
        f"`python -m pip install {LIBRARIES[0]}`."
    )


def _preview_text(file: OpenFile, text: str, faults: int, artifact: Artifact, inner: str, *, embed: bool) -> Preview:
    is_whole = file.size <= _HEAD
    kind = _kind_of_text(text, artifact, inner)
    note = f"{faults:,} of its bytes are not text." if faults else ""
    if kind == "svg":
        return Preview("image", "SVG image", data=_data_uri(file, "image/svg+xml") if embed else "")
    if kind == "html" and file.size > MAX_PAGE:
        return Preview("none", "HTML", note="The page is too large to be shown here. Download it.")
    if kind == "html":
        return Preview(
            "html", "HTML", data=make_static(text) if embed and is_whole else "", has_scripts="<script" in text.lower()
        )
    if kind == "markdown":
        cut = "" if file.size <= _MAX_MARKDOWN else "Only its beginning is shown."
        return Preview("markdown", "Markdown", render_markdown(text[:_MAX_MARKDOWN]), note=cut or note)
    structured = None if kind == "text" else _preview_json(file, text) or _preview_table(file, text, kind)
    if structured:
        return replace(structured, note=note or structured.note)
    return _plain(text, note, is_whole=is_whole)


def _kind_of_text(text: str, artifact: Artifact, inner: str) -> str:
    """Return what a text is by its type or name, and by its beginning otherwise; empty if only its content can say."""
    if not inner and artifact.type in (_MARKDOWN, _HTML):
        return "markdown" if artifact.type == _MARKDOWN else "html"
    ending = Path(inner or location_of(artifact)).suffix.lower()
    return "svg" if is_svg(text) else "html" if is_html(text) else _ENDINGS.get(ending, "")


def _preview_json(file: OpenFile, text: str) -> Preview | None:
    if not text.lstrip().startswith(("{", "[")):
        return None
    if file.size <= _MAX_JSON:
        try:
            value = parse_json(file.read(_MAX_JSON), any_text=True)
        except InvalidJson:
            return _preview_lines(file, text)
        return Preview("json", "JSON", json_tree(value))
    return _preview_lines(file, text)


def _preview_lines(file: OpenFile, text: str) -> Preview | None:
    """Return a preview of JSON lines: a table if all records are flat, or else a tree; None if they are not JSON."""
    lines = [line for line in _whole_lines(file, text).splitlines()[: MAX_ROWS + 1] if line.strip()]
    records: list[Json] = []
    try:
        records.extend(parse_json(line, any_text=True) for line in lines)
    except InvalidJson:
        return None
    if len(records) < 2:
        return None
    count, is_exact = _count_lines(file)
    table = read_records(records, count)
    if table:
        return Preview("table", "JSON lines", replace(table, is_exact=is_exact))
    tree = json_tree(records[:MAX_ROWS])
    return Preview("json", "JSON lines", replace(tree, text=_count_text(count, "record", is_exact=is_exact)))


def _preview_table(file: OpenFile, text: str, kind: str) -> Preview | None:
    whole = _whole_lines(file, text)
    delimiter = _DELIMITERS.get(kind) or find_delimiter(whole)
    if not delimiter:
        return None
    count, is_exact = (None, True) if file.size <= _HEAD else _count_lines(file)
    table = read_table(whole, delimiter, count)
    return Preview("table", _TABLE_TYPES[delimiter], replace(table, is_exact=is_exact)) if table else None


def _whole_lines(file: OpenFile, text: str) -> str:
    return text if file.size <= _HEAD else _cut_line(text)


def _cut_line(text: str) -> str:
    """Return a text without its last line, which may not be whole, unless it has one line only."""
    return text[: text.rfind("\n") + 1] or text


def _count_lines(file: OpenFile) -> tuple[int, bool]:
    """Return the lines of a file that do not end in quotes, and whether it was read to its end."""
    count, is_quoted, offset, piece = 0, False, 0, b""
    while offset < _MAX_COUNTED and (piece := file.read(_PIECE, offset)):
        # Without a line between them, two quotes change nothing: this makes few parts of most files.
        for number, part in enumerate(piece.translate(None, _NEITHER).replace(b'""', b"").split(b'"')):
            is_quoted ^= number > 0
            count += 0 if is_quoted else part.count(b"\n")
        offset += len(piece)
        last = piece[-1:]
    is_exact = offset >= file.size
    return count + (is_exact and offset > 0 and last != b"\n"), is_exact


def _count_text(count: int, name: str, *, is_exact: bool) -> str:
    return f"{'' if is_exact else 'more than '}{count:,} {name}{'' if count == 1 else 's'}"


def _plain(text: str, note: str, *, is_whole: bool) -> Preview:
    lines = strip_controls(text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    is_cut = not is_whole or len(lines) > _MAX_LINES or any(len(line) > _MAX_LINE for line in lines[:_MAX_LINES])
    shown = "\n".join(line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}…" for line in lines[:_MAX_LINES])
    return Preview("text", "Text", shown, note=note or ("Only a part of it is shown." if is_cut else ""))


def _hex(head: bytes, type: str) -> Preview:
    rows = (
        f"{start:08x}  {row.hex(' '):<47}  {''.join(chr(byte) if 32 <= byte < 127 else '·' for byte in row)}"
        for start in range(0, min(len(head), _HEX_BYTES), 16)
        for row in (head[start : min(start + 16, _HEX_BYTES)],)
    )
    return Preview("hex", type, "\n".join(rows))


def _data_uri(file: OpenFile, media: str) -> str:
    """Return a small image as a `data:` URI; empty for a large one."""
    if file.size > _MAX_EMBEDDED:
        return ""
    return f"data:{media};base64,{base64.b64encode(file.read(_MAX_EMBEDDED)).decode()}"
