"""Checks of Python: the interpreter, uv, environments, the package index, and the KFP SDK."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from standpipe.doctor.answers import Answer, Surroundings, ok, problem, warning
from standpipe.doctor.folders import nearest_folder
from standpipe.doctor.programs import ask
from standpipe.errors import EnvironmentBuildError
from standpipe.model.cancellation import Cancellation
from standpipe.model.kfp import KFP_VERSION
from standpipe.runners.package_indexes import hide_password
from standpipe.runners.process.installer import Build, find_uv, installer_environment, make_venv
from standpipe.runners.process.pip_options import Arguments, Option
from standpipe.runners.process.pip_settings import pip_settings
from standpipe.runners.process.uv_call import make_uv_call
from standpipe.runners.process.venv import base_python

#: The package that the index is asked for, and the seconds that its answer may take.
_PACKAGE = "pip"
_PATIENCE = 4.0

#: The variables that select indexes and proxies.
_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_OFFLINE")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def check_python(_: Surroundings) -> Answer:
    """Check the interpreter that tasks run with, which is that of this program or the base of its environment."""
    base = base_python()
    output = ask([str(base), "-c", "import sys, ssl, sqlite3, venv; print(sys.version_info[:2])"])
    if output.code:
        return problem(
            f"{base}, with which tasks run, does not work: {_last_line(output.errors)}",
            f"Install Python {platform.python_version()} again, with all of its standard library.",
        )
    if output.code is None:
        return problem(f"{base}, with which tasks run, does not start: {output.errors}", "Install Python again.")
    return ok(f"{platform.python_version()}, {base}")


def check_pythons(_: Surroundings) -> Answer:
    """List the interpreters that uv finds; tasks run with the one of this program."""
    uv = find_uv()
    if uv is None:
        return ok(f"{platform.python_version()}; uv, which would look for others, is not installed")
    output = ask([uv, "python", "list", "--only-installed", "--offline", "--output-format", "json"], patience=_PATIENCE)
    try:
        found = {each["version"]: tuple(each["version_parts"].values()) for each in json.loads(output.text)}
    except (ValueError, KeyError, AttributeError, TypeError):
        return ok(f"{platform.python_version()}; other versions are not known")
    versions = sorted(found, key=lambda each: found[each])
    return ok(f"{', '.join(versions)}; tasks run with {platform.python_version()}, that of this program")


def check_uv(_: Surroundings) -> Answer:
    """Check uv, which builds environments; pip replaces it where it is missing."""
    uv = find_uv()
    if uv is None:
        return warning("not installed, so pip builds environments, which takes longer", "pip install uv")
    output = ask([uv, "--version"])
    if output.code != 0:
        return problem(f"{uv} does not work: {_last_line(output.errors)}", "pip install --force-reinstall uv")
    cache = ask([uv, "cache", "dir"]).text
    return ok(f"{output.text.removeprefix('uv ')}, {uv}; its cache is {cache or 'not known'}")


def check_environment(surroundings: Surroundings) -> Answer:
    """Build an environment without packages, as each component's first task does, and start its interpreter."""
    start = time.monotonic()
    folder = nearest_folder(surroundings.cache)
    cancel = Cancellation()
    timer = threading.Timer(_PATIENCE, cancel.set)
    timer.daemon = True
    timer.start()
    try:
        with tempfile.TemporaryDirectory(prefix=".standpipe-doctor-", dir=folder) as draft:
            environment = Path(draft, "environment")
            make_venv(base_python(), environment, Build(lambda _: None, cancel), with_packages=False)
            output = ask([str(environment / "bin" / "python"), "-c", "import json"])
    except (EnvironmentBuildError, OSError) as error:
        first, _, fix = str(error).partition("\n")
        return problem(first.rstrip(":"), fix or "Set STANDPIPE_CACHE to a folder that you may write to.")
    finally:
        timer.cancel()
    if output.code != 0:
        return problem(
            f"the interpreter of a new environment in {folder} does not start: {_last_line(output.errors)}",
            "Set STANDPIPE_CACHE to a folder from which programs can be started (mounted without noexec).",
        )
    return ok(f"one can be built, in {time.monotonic() - start:.1f} s")


def check_index(_: Surroundings) -> Answer:
    """Resolve a package without installing it, with the settings that components are installed with."""
    uv, settings = find_uv(), ", ".join(_settings())
    if uv is None:
        return ok(f"not asked, as uv is not installed ({settings})")
    options = (Option(name, value) for name, values in pip_settings(os.environ).items() for value in values)
    call = make_uv_call(Arguments((_PACKAGE,), tuple(options)), os.environ)
    variables = {**installer_environment(os.environ), **call.variables, "UV_HTTP_RETRIES": "0"}
    command = [uv, "pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "--refresh-package"]
    output = ask([*command, _PACKAGE, *call.options, "-"], text=_PACKAGE, variables=variables, patience=_PATIENCE)
    if output.code != 0:
        return warning(
            f"no package can be downloaded: {hide_password(_last_line(output.errors))} ({settings})",
            "Check the network, the index (UV_DEFAULT_INDEX, PIP_INDEX_URL or pip's configuration) and the proxy "
            "(HTTPS_PROXY). Packages that uv's cache has install without an index.",
        )
    return ok(f"answers ({settings})")


def check_kfp(_: Surroundings) -> Answer:
    """Say which KFP SDK is installed beside Standpipe, if any."""
    try:
        installed = version("kfp")
    except PackageNotFoundError:
        return ok(f"not installed, nor needed: scripts that import it run with `standpipe run` (KFP {KFP_VERSION})")
    if installed.startswith(("0.", "1.")):
        return warning(
            f"{installed} is installed, whose pipelines are not those of KFP 2",
            "pip install --upgrade kfp, or uninstall it: Standpipe answers `import kfp`.",
        )
    return ok(f"{installed} is installed; `standpipe run` answers `import kfp` as KFP {KFP_VERSION}")


def _settings() -> Iterator[str]:
    """Yield the settings for indexes and proxies without passwords; what stands for none if there are none."""
    settings = pip_settings(os.environ)
    yield from (f"pip's {name} {hide_password(' '.join(values))}" for name, values in settings.items())
    for name in (*_INDEX_VARIABLES, *_PROXY_VARIABLES):
        value = os.environ.get(name) or os.environ.get(name.lower())
        if value:
            yield f"{name}={hide_password(value)}"
    if not settings and not any(map(os.environ.get, _INDEX_VARIABLES)):
        yield "the default index"


def _last_line(text: str) -> str:
    return next(reversed(text.splitlines()), "it wrote no error").strip().removeprefix("cause: ")
