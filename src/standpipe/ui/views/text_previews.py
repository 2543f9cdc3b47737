"""Previews of texts: pages, Markdown, tables, JSON, and all others."""

from __future__ import annotations

from dataclasses import replace

from standpipe.history import Artifact
from standpipe.model.json_values import InvalidJson, parse_json
from standpipe.model.types import Json
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.payloads import OpenFile
from standpipe.ui.views.html_pages import MAX_PAGE
from standpipe.ui.views.json_tree import json_tree
from standpipe.ui.views.markdown import render_markdown
from standpipe.ui.views.payload_types import cut_line, kind_of_text
from standpipe.ui.views.preview import HEAD, Preview, data_uri
from standpipe.ui.views.tables import MAX_ROWS, find_delimiter, read_records, read_table

#: The most bytes that are read to parse JSON, to count rows, in pieces, and to render Markdown.
_MAX_JSON = 1024 * 1024
_MAX_COUNTED = 8 * 1024 * 1024
_PIECE = 1024 * 1024
_MAX_MARKDOWN = 32 * 1024

_MAX_LINES = 1000
_MAX_LINE = 2000

#: All bytes but quotes and the ends of lines.
_NEITHER = bytes(set(range(256)) - set(b'"\n'))

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_TABLE_TYPES = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "Table with bars"}


def preview_text(file: OpenFile, text: str, faults: int, artifact: Artifact, inner: str, *, embed: bool) -> Preview:
    """Return a preview of a file that is a text.

    Args:
        file: the file.
        text: its first `HEAD` bytes as text.
        faults: how many of these are not text.
        artifact: its artifact.
        inner: its path in the artifact, if that is a folder.
        embed: whether images and pages become a part of the preview, if they are small.
    """
    is_whole = file.size <= HEAD
    kind = kind_of_text(text, artifact, inner)
    note = f"{faults:,} of its bytes are not text." if faults else ""
    if kind == "svg":
        return Preview("image", "SVG image", data=data_uri(file, "image/svg+xml") if embed else "")
    if kind == "html" and file.size > MAX_PAGE:
        return Preview("none", "HTML", note="The page is too large to be shown here. Download it.")
    if kind == "html":
        return Preview("html", "HTML", data=text if embed and is_whole else "", has_scripts="<script" in text.lower())
    if kind == "markdown":
        cut = "" if file.size <= _MAX_MARKDOWN else "Only its beginning is shown."
        return Preview("markdown", "Markdown", render_markdown(text[:_MAX_MARKDOWN]), note=cut or note)
    structured = None if kind == "text" else _preview_json(file, text) or _preview_table(file, text, kind)
    if structured:
        return replace(structured, note=note or structured.note)
    return _plain(text, note, is_whole=is_whole)


def _preview_json(file: OpenFile, text: str) -> Preview | None:
    if not text.lstrip().startswith(("{", "[")):
        return None
    if file.size <= _MAX_JSON:
        try:
            value = parse_json(file.read(_MAX_JSON))
        except InvalidJson:
            return _preview_lines(file, text)
        return Preview("json", "JSON", json_tree(value))
    return _preview_lines(file, text)


def _preview_lines(file: OpenFile, text: str) -> Preview | None:
    """Return a preview of JSON lines: a table if all records are flat, or else a tree; None if they are not JSON."""
    lines = [line for line in _whole_lines(file, text).splitlines()[: MAX_ROWS + 1] if line.strip()]
    records: list[Json] = []
    try:
        records.extend(parse_json(line) for line in lines)
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
    count, is_exact = (None, True) if file.size <= HEAD else _count_lines(file)
    table = read_table(whole, delimiter, count)
    return Preview("table", _TABLE_TYPES[delimiter], replace(table, is_exact=is_exact)) if table else None


def _whole_lines(file: OpenFile, text: str) -> str:
    return text if file.size <= HEAD else cut_line(text)


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
