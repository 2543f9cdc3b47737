"""The files in `static`: styles, scripts and icons.

Pages load them from an address that changes with them, so that a browser keeps them without asking for each of them
whenever it opens a page.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from zlib import crc32

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"

#: Below this address are the files as they are now.
ADDRESS = "/static"

_KEEP = "max-age=31536000, immutable"


@cache
def kept_address() -> str:
    """Return the address below which browsers keep the files; it has a checksum of their names, sizes and times."""
    files = sorted(path for path in STATIC.rglob("*") if path.is_file())
    seen = [(path.name, status.st_size, status.st_mtime_ns) for path in files for status in (os.stat(path),)]
    return f"{ADDRESS}/{crc32(repr(seen).encode()):08x}"


class KeptFiles(StaticFiles):
    """Answers with files that a browser may keep."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return the answer with a file; others, as for a file that is missing, are not kept."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = _KEEP
        return response


def serve_styles(request: Request) -> Response:
    """Answer with several style sheets as one: a page loads them all, and each request takes a browser milliseconds."""
    files = [STATIC / f"{name}.css" for name in request.path_params["names"].split("+")]
    if not set(files) <= set(STATIC.glob("*.css")):
        raise HTTPException(404)
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return Response(text, media_type="text/css", headers={"Cache-Control": _KEEP})
