"""What a file contains, by its first bytes: names of files mean nothing, as those of artifacts have no ending."""

from __future__ import annotations

#: Beginnings of files, with the name of their type and the media type of those that browsers show.
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "PNG image", "image/png"),
    (b"\xff\xd8\xff", "JPEG image", "image/jpeg"),
    (b"GIF87a", "GIF image", "image/gif"),
    (b"GIF89a", "GIF image", "image/gif"),
    (b"PAR1", "Parquet file", ""),
    (b"\x93NUMPY", "NumPy array", ""),
    (b"ARROW1", "Arrow file", ""),
    (b"\x89HDF\r\n\x1a\n", "HDF5 file", ""),
    (b"SQLite format 3\x00", "SQLite database", ""),
    (b"PK\x03\x04", "ZIP archive", ""),
    (b"\x1f\x8b", "gzip file", ""),
    (b"\x28\xb5\x2f\xfd", "Zstandard file", ""),
    (b"BZh", "bzip2 file", ""),
    (b"\xfd7zXZ\x00", "xz file", ""),
    (b"%PDF-", "PDF document", ""),
    (b"\x7fELF", "ELF program or library", ""),
    (b"GGUF", "GGUF model", ""),
    (b"Obj\x01", "Avro file", ""),
)

#: From protocol 2 on, a pickle begins with its number and ends with a dot.
_PICKLE = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))

_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))

#: A file with more bytes than this share that no text has is not shown as text.
_MOST_FAULTS = 0.05
_CONTROLS = frozenset((*range(9), 11, *range(14, 27), *range(28, 32)))


def recognise(beginning: bytes) -> tuple[str, str]:
    """Return the name of a binary file's type, and its media type if browsers show it; both empty for others.

    Args:
        beginning: its first bytes, at least 16 of a longer file.
    """
    for bytes_, name, media in _BEGINNINGS:
        if beginning.startswith(bytes_):
            return name, media
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "WebP image", "image/webp"
    if beginning.startswith(_PICKLE):
        return "Python pickle", ""
    return "", ""


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
