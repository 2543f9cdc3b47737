"""What a preview is; `previews.py` reads them."""

from __future__ import annotations

import base64
from typing import Union

from markupsafe import Markup

from standpipe.history import Artifact
from standpipe.model.frozen import frozen
from standpipe.ui.payloads import OpenFile
from standpipe.ui.views.folders import Folder
from standpipe.ui.views.json_tree import JsonNode
from standpipe.ui.views.numpy_header import NumpyHeader
from standpipe.ui.views.tables import Table

#: The most bytes that are read to show a text or the rows of a table, and the most of an image that becomes a part of
#: a report.
HEAD = 256 * 1024
_MAX_EMBEDDED = 512 * 1024

Content = Union[Table, JsonNode, NumpyHeader, Folder, Markup, str, None]


@frozen
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


def location_of(artifact: Artifact) -> str:
    """Return what identifies an artifact in the addresses of pages: the location of its payload, or else its URI."""
    return artifact.location


def data_uri(file: OpenFile, media: str) -> str:
    """Return a small image as a `data:` URI; empty for a large one."""
    if file.size > _MAX_EMBEDDED:
        return ""
    return f"data:{media};base64,{base64.b64encode(file.read(_MAX_EMBEDDED)).decode()}"
