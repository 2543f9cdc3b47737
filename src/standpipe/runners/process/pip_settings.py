"""The sources of packages in pip's own settings, which uv does not read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from standpipe.errors import EnvironmentBuildError

#: The settings for sources of packages.
_SOURCES = ("index-url", "extra-index-url", "find-links", "trusted-host")

#: uv's own variables for the same; if one of them is set, pip's settings are not passed to uv.
_UV_SOURCES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")


def pip_settings(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Return pip's sources of packages, from its variables and configuration files, which uv does not read.

    The rules are those of https://pip.pypa.io/en/stable/topics/configuration/.

    Returns:
        The values of those of `index-url`, `extra-index-url`, `find-links` and `trusted-host` that are set; empty if
        one of uv's own variables for them is set.
    """
    if any(environ.get(name) for name in _UV_SOURCES):
        return {}
    settings: dict[str, list[str]] = {}
    for file in _pip_files(environ):
        settings.update(_read_pip_file(file))
    for name in _SOURCES:
        value = environ.get("PIP_" + name.replace("-", "_").upper())
        if value:
            settings[name] = value.split()
    return settings


def _pip_files(environ: Mapping[str, str]) -> Iterable[Path]:
    """Return the configuration files of pip, in increasing order of precedence."""
    if environ.get("PIP_CONFIG_FILE") == os.devnull:
        return ()
    home = Path.home()
    shared = [Path(folder) for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)]
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    library = Path("Library/Application Support")
    files = [folder / "pip" / "pip.conf" for folder in reversed(shared)]
    files += [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", own / "pip" / "pip.conf"]
    if sys.platform == "darwin":
        files = [Path("/") / library / "pip" / "pip.conf", *files, home / library / "pip" / "pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    if environ.get("PIP_CONFIG_FILE"):
        files.append(Path(environ["PIP_CONFIG_FILE"]))
    return files


def _read_pip_file(path: Path) -> dict[str, list[str]]:
    import configparser  # costs 3 ms, which only programs that install packages pay

    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise EnvironmentBuildError(f"pip's configuration file {path} cannot be read: {error}") from error
    sections = [parser[name] for name in ("global", "install") if parser.has_section(name)]
    return {name: section[name].split() for section in sections for name in _SOURCES if section.get(name)}
