"""The images of an engine, remembered for a moment."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from standpipe.runners.docker.engine import engine_errors

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

#: The seconds for which an image is remembered: its name may stand for another one later.
_LIFETIME = 1.0


class KnownImages:
    """Asks an engine for images, and remembers its answers for a moment. Any thread may ask."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Image]] = {}  # with the time of the request

    def find(self, client: DockerClient, name: str) -> Image | None:
        """Return an image; None if it is missing or the engine does not answer, which a caller that needs it notices.

        Args:
            client: the connection to the engine.
            name: the name of the image.
        """
        now = time.monotonic()
        requested, image = self._known.get(name, (-math.inf, None))
        if now - requested <= _LIFETIME:
            return image
        with suppress(*engine_errors()):
            image = client.images.get(name)
            self._known[name] = (now, image)
            return image
        return None
