"""Markdown and HTML artifacts as documents: their text, and what Markdown looks like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from standpipe.history.records import Artifact
from standpipe.support.untrusted_files import UntrustedFileError, read_file
from standpipe.ui.views.markdown import render_markdown

#: The largest document that is read, in bytes.
MAX_DOCUMENT = 512 * 1024

MARKDOWN, HTML = "system.Markdown", "system.HTML"


@dataclass(frozen=True)
class Document:
    """The text of an artifact, or why it cannot be shown."""

    text: str = ""
    problem: str = ""

    @property
    def markup(self) -> Markup:
        """The text, which is Markdown, as HTML."""
        return render_markdown(self.text)


def read_document(artifact: Artifact, root: Path, limit: int = MAX_DOCUMENT) -> Document:
    """Read the payload of an artifact as text.

    Args:
        artifact: the artifact.
        root: the pipeline root, below which no link is followed.
        limit: the most bytes to read.
    """
    if artifact.path is None:
        return Document(problem=f"It is not on this machine: {artifact.uri}")
    try:
        return Document(read_file(artifact.path, root, limit).decode(errors="replace"))
    except FileNotFoundError:
        return Document(problem="Its file was removed." if artifact.digest else "It has no file.")
    except UntrustedFileError as error:
        return Document(problem=f"It cannot be shown: {error}")
    except OSError as error:
        return Document(problem=f"It cannot be read: {error.strerror}.")
