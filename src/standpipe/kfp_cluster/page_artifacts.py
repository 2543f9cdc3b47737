"""Payloads from the web page of KFP, which passes what is in object stores through.

The rules are those of `frontend/server/handlers/artifacts.ts` (August 2026): a file arrives as it is, a folder as a
`.tar.gz`; of `s3://`, a compressed file arrives decompressed, and of an archive its first file; of `gs://`, everything
arrives as stripped text, so it is not fetched like that.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

from standpipe.errors import ClusterError, StorageError
from standpipe.kfp_cluster.http import Answer, Body, HttpClient
from standpipe.kfp_cluster.metadata import StoredArtifact
from standpipe.support.notices import Once, warn
from standpipe.support.terminal_text import strip_controls
from standpipe.support.untrusted_files import ensure_folder, write_atomically

#: The names of object stores in the page's paths, by the schemes of URIs.
_SOURCES = {"minio": "minio", "s3": "s3"}

#: The bytes that are written at once.
_PIECE = 1024 * 1024


class PayloadUnavailable(ClusterError):
    """The payload of an artifact cannot be fetched."""


class ArtifactPage:
    """Fetches payloads from the page of KFP.

    Args:
        http: the host.
        namespace: the namespace of the run, which a cluster with several users demands; empty if it is not known.
    """

    def __init__(self, http: HttpClient, namespace: str) -> None:
        self._http = http
        self._namespace = namespace
        self._reported = Once()

    def fetch(self, artifact: StoredArtifact, target: Path, root: Path) -> None:
        """Write the payload of an artifact to a path.

        Args:
            artifact: the artifact.
            target: the path of the file or folder.
            root: the folder that it is in.

        Raises:
            PayloadUnavailable: if the page does not pass it through, or only changed.
            ClusterError: if the host cannot be reached.
            StorageError: if a file cannot be written.
        """
        path = self._make_path(artifact)

        def receive(answer: Answer, body: Body) -> None:
            if answer.content_type.startswith("text/html") and not artifact.uri.endswith((".html", ".htm")):
                raise PayloadUnavailable("the host answered with a page for people, such as that of a login")
            try:
                if answer.content_type.startswith("application/gzip") and answer.file_name.endswith(".tar.gz"):
                    _unpack(body, target, root)
                else:
                    write_atomically(target, root, 0o666, partial(_copy, body))
            except (StorageError, ClusterError):
                raise
            except OSError as error:
                raise StorageError(f"Cannot write the artifact {target}: {error.strerror or error}.") from error

        answer = self._http.save(path, receive)
        if answer.status != 200:
            raise PayloadUnavailable(f"the page answered with status {answer.status}{_describe(answer)}")
        if artifact.uri.startswith("s3:") and self._reported.is_first("s3"):
            warn(
                "KFP's web page decompresses files of s3://: an artifact that is a compressed file is not as its task "
                "has written it. With credentials for the bucket in the environment, files are fetched from there."
            )

    def _make_path(self, artifact: StoredArtifact) -> str:
        parts = urlsplit(artifact.uri)
        source = _SOURCES.get(parts.scheme)
        if ".." in parts.path.split("/"):
            raise PayloadUnavailable("its URI has the step ..")
        if source is None:
            raise PayloadUnavailable(f"KFP's page does not pass {parts.scheme or 'local'} files through as they are")
        query = {"namespace": self._namespace, "providerInfo": artifact.session}
        known = {name: value for name, value in query.items() if value}
        key = quote(unquote(parts.path.lstrip("/")))
        return f"artifacts/{source}/{quote(parts.netloc)}/{key}{f'?{urlencode(known)}' if known else ''}"


def _copy(source: Body | IO[bytes], target: BinaryIO) -> None:
    while piece := source.read(_PIECE):
        target.write(piece)


def _unpack(body: Body, folder: Path, root: Path) -> None:
    """Write the files of an archive as it arrives. Only files have content here; names that lead out are refused."""
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", body), mode="r|gz") as archive:
            ensure_folder(folder, root)
            for name, content in _list_files(archive):
                write_atomically(folder.joinpath(*name), root, 0o666, partial(_copy, content))
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise PayloadUnavailable(f"the archive of the folder is not whole: {error}") from error


def _list_files(archive: tarfile.TarFile) -> Iterator[tuple[list[str], IO[bytes]]]:
    for member in archive:
        steps = member.name.split("/")
        if any(step in ("", ".", "..") or "\0" in step for step in steps):
            raise PayloadUnavailable(f"the folder has a file with the name {member.name!r}")
        content = archive.extractfile(member) if member.isreg() else None
        if content:
            yield steps, content


def _describe(answer: Answer) -> str:
    text = "" if answer.is_html else " ".join(answer.body[:300].decode("utf-8", "replace").split())
    return f": {strip_controls(text).rstrip('.')}" if text else ""
