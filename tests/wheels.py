"""Packages and indexes that tests make themselves, so that environments are built without a network."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import textwrap
import zipfile
from pathlib import Path

from standpipe.model.plan import PythonFunction


def function(
    *packages: str, index_urls: tuple[str, ...] = (), trusted_hosts: tuple[str, ...] | None = None
) -> PythonFunction:
    return PythonFunction("f", "", packages, index_urls, trusted_hosts)


def make_wheel(folder: Path, name: str, version: str = "1.0", requires: str = "") -> Path:
    """Make a wheel with one module that has its version."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}"
        for path, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_in_wheel, text in files.items():
            archive.writestr(name_in_wheel, text)
    return path


def make_index(folder: Path, *wheels: Path) -> str:
    """Make a package index (PEP 503) of these wheels and return its URL."""
    for wheel in wheels:
        project = folder / wheel.name.partition("-")[0]
        project.mkdir(parents=True, exist_ok=True)
        with (project / "index.html").open("a") as page:
            page.write(f'<a href="{wheel.as_uri()}">{wheel.name}</a>\n')
    return folder.as_uri()


def imported(python: Path, name: str) -> str:
    """Return the version of a module that an interpreter imports; empty if it cannot."""
    code = f"import importlib.util as u\nprint(__import__({name!r}).version if u.find_spec({name!r}) else '')"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def make_project(folder: Path, version: str) -> None:
    """Make a project with a build backend of its own, so that building downloads nothing."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "one"\nversion = "1.0"\n'
    )
    (folder / "content.txt").write_text(version)
    (folder / "backend.py").write_text(
        textwrap.dedent("""
        import pathlib, zipfile
        INFO = {
            "METADATA": "Metadata-Version: 2.1\\nName: one\\nVersion: 1.0\\n",
            "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
            "RECORD": "one.py,,\\n",
        }
        def build_wheel(directory, config_settings=None, metadata_directory=None):
            version = pathlib.Path("content.txt").read_text()
            name = "one-1.0-py3-none-any.whl"
            with zipfile.ZipFile(pathlib.Path(directory, name), "w") as archive:
                archive.writestr("one.py", f"version = {version!r}")
                for file, text in INFO.items():
                    archive.writestr("one-1.0.dist-info/" + file, text)
            return name
        """)
    )


def make_editable_project(folder: Path) -> None:
    """Make a project whose build backend installs it by a path of its source, as editable projects are."""
    make_project(folder, "")
    (folder / "one.py").write_text("version = 'first'\n")
    with (folder / "backend.py").open("a") as file:
        file.write(
            textwrap.dedent("""
            def build_editable(directory, config_settings=None, metadata_directory=None):
                name = "one-1.0-py3-none-any.whl"
                with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
                    wheel.writestr("one.pth", str(pathlib.Path.cwd()))
                    for file, text in INFO.items():
                        wheel.writestr(f"one-1.0.dist-info/{file}", text.replace("one.py", "one.pth"))
                return name
            """)
        )
