"""Previews of artifacts for what has no server behind it: reports and notebooks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from standpipe.history.records import Artifact
from standpipe.ui.views.inert_html import make_inert
from standpipe.ui.views.previews import Preview, read_preview

#: The types of artifacts that are documents to read.
MARKDOWN, HTML = "system.Markdown", "system.HTML"


def read_embedded(artifact: Artifact, root: Path, most: int | None = None) -> Preview:
    """Return a preview with the images and pages in it, which load nothing.

    Args:
        artifact: the artifact.
        root: the pipeline root; nothing outside is read.
        most: the most characters of it; a larger preview is replaced by a note.
    """
    preview = read_preview(artifact, root, embed=True)
    if preview.kind == "html":
        preview = replace(preview, data=make_inert(preview.data), has_scripts=False)
    if most is not None and size_of(preview) > most:
        return Preview("none", preview.type, size=preview.size, note="It is too large to be shown here.")
    return preview


def size_of(preview: Preview) -> int:
    """Return how many characters a preview adds to a page, roughly."""
    return len(preview.data) + (len(preview.content) if isinstance(preview.content, str) else 0)
