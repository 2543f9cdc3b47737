"""Which type a payload has: by the type of the artifact, by the name of a file in a folder, and by its content."""

from __future__ import annotations

from pathlib import Path

from standpipe.history import Artifact
from standpipe.ui.views.file_types import FileType, decode, is_html, is_svg, recognise
from standpipe.ui.views.preview import location_of
from standpipe.ui.views.tables import find_delimiter

_MARKDOWN, _HTML = "system.Markdown", "system.HTML"

#: What the endings of files in a folder say, if anything; the files of artifacts have none.
_ENDINGS = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".csv": "csv", ".tsv": "tsv"}
_ENDINGS |= dict.fromkeys(
    (".txt", ".log", ".py", ".yaml", ".yml", ".toml", ".sh", ".sql", ".r", ".cfg", ".ini"), "text"
)

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
    kind = kind_of_text(text[0], artifact, inner)
    if not kind:
        kind = "json" if text[0].lstrip().startswith(("{", "[")) else find_delimiter(cut_line(text[0]))
    return _TEXT_TYPES.get(kind, _TEXT)


def kind_of_text(text: str, artifact: Artifact, inner: str) -> str:
    """Return what a text is by its type or name, and by its beginning otherwise; empty if only its content can say."""
    if not inner and artifact.type in (_MARKDOWN, _HTML):
        return "markdown" if artifact.type == _MARKDOWN else "html"
    ending = Path(inner or location_of(artifact)).suffix.lower()
    return "svg" if is_svg(text) else "html" if is_html(text) else _ENDINGS.get(ending, "")


def cut_line(text: str) -> str:
    """Return a text without its last line, which may not be whole, unless it has one line only."""
    return text[: text.rfind("\n") + 1] or text
