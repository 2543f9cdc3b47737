"""What a file contains, by its first bytes: names of files mean nothing, as those of artifacts have no ending."""

from __future__ import annotations

from typing import NamedTuple


class FileType(NamedTuple):
    """The type of a binary file: its name, the ending of its files, and its media type if browsers show it."""

    name: str
    ending: str
    media: str = ""


_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", FileType("PNG image", ".png", "image/png")),
    (b"\xff\xd8\xff", FileType("JPEG image", ".jpg", "image/jpeg")),
    (b"GIF87a", FileType("GIF image", ".gif", "image/gif")),
    (b"GIF89a", FileType("GIF image", ".gif", "image/gif")),
    (b"PAR1", FileType("Parquet file", ".parquet")),
    (b"\x93NUMPY", FileType("NumPy array", ".npy")),
    (b"ARROW1", FileType("Arrow file", ".arrow")),
    (b"\x89HDF\r\n\x1a\n", FileType("HDF5 file", ".h5")),
    (b"SQLite format 3\x00", FileType("SQLite database", ".sqlite")),
    (b"PK\x03\x04", FileType("ZIP archive", ".zip")),
    (b"\x1f\x8b", FileType("gzip file", ".gz")),
    (b"\x28\xb5\x2f\xfd", FileType("Zstandard file", ".zst")),
    (b"BZh", FileType("bzip2 file", ".bz2")),
    (b"\xfd7zXZ\x00", FileType("xz file", ".xz")),
    (b"%PDF-", FileType("PDF document", ".pdf")),
    (b"\x7fELF", FileType("ELF program or library", "")),
    (b"GGUF", FileType("GGUF model", ".gguf")),
    (b"Obj\x01", FileType("Avro file", ".avro")),
)
_WEBP = FileType("WebP image", ".webp", "image/webp")

#: From protocol 2 on, a pickle begins with its number and ends with a dot.
PICKLE = FileType("Python pickle", ".pkl")
_PICKLE_BEGINNINGS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))

_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))

#: A file with more bytes than this share that no text has is not shown as text.
_MOST_FAULTS = 0.05
_CONTROLS = frozenset((*range(9), 11, *range(14, 27), *range(28, 32)))


def recognise(beginning: bytes) -> FileType | None:
    """Return the type of a binary file; None if it is not known, or a text.

    Args:
        beginning: its first bytes, at least 16 of a longer file.
    """
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return _WEBP
    if beginning.startswith(_PICKLE_BEGINNINGS):
        return PICKLE
    return next((type for bytes_, type in _BEGINNINGS if beginning.startswith(bytes_)), None)


def decode(content: bytes, *, is_whole: bool) -> tuple[str, int] | None:
    """Return the text of a file and how many of its bytes are not text; None if it is binary.

    Args:
        content: its first bytes.
        is_whole: whether that is all; otherwise its last character may be cut.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace"), 0
    body = content.removeprefix(b"\xef\xbb\xbf")
    if not is_whole:
        body = _complete(body)
    text = body.decode("utf-8", errors="replace")
    faults = text.count("\ufffd") - body.count(b"\xef\xbf\xbd") + sum(body.count(control) for control in _CONTROLS)
    return None if faults > len(body) * _MOST_FAULTS else (text, faults)


def _complete(content: bytes) -> bytes:
    """Return UTF-8 without the beginning of a character at its end."""
    for length in range(1, min(4, len(content)) + 1):
        lead = content[-length]
        if lead >= 0xC0:
            return content[:-length] if length < (2 if lead < 0xE0 else 3 if lead < 0xF0 else 4) else content
        if lead < 0x80:
            break
    return content


def is_svg(text: str) -> bool:
    """Return whether a text is an SVG image."""
    start = text[:2000].lstrip().lower()
    return start.startswith("<svg") or (start.startswith(("<?xml", "<!doctype svg", "<!--")) and "<svg" in start)


def is_html(text: str) -> bool:
    """Return whether a text is a page of HTML."""
    start = text[:2000].lstrip().lower()
    return start.startswith(("<!doctype html", "<html", "<head", "<body"))
