"""Rules for images, and for the packages that are installed in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from standpipe.check.programs import Program
from standpipe.check.rule import Problem
from standpipe.check.view import PipelineView
from standpipe.model.kfp import KFP_VERSION

#: Images of Docker Hub that have no `python3`.
_WITHOUT_PYTHON = {
    "alpine", "bash", "busybox", "curlimages/curl", "debian", "hashicorp/terraform", "hello-world", "memcached",
    "nginx", "redis", "scratch", "ubuntu",
    "gcr.io/distroless/base", "gcr.io/distroless/cc", "gcr.io/distroless/static",
}  # fmt: skip

#: What fixes the version of a package, or at least its upper bound.
_PINS = ("==", "~=", "<", "@")


#: Paths and files of this machine, as pip takes them.
_LOCAL_PACKAGE = re.compile(r"(-e\s|\.{0,2}/|~/|file:|[A-Z]:\\)|[^:@]*\.(whl|tar\.gz|zip)$|.*@\s*file:")
_LOCAL_INDEX = re.compile(r"https?://(?:[^/@]*@)?(localhost|127\.0\.0\.1|host\.docker\.internal)(?=[:/]|$)")

#: The oldest Python that the package of KFP accepts (`Requires-Python` of its metadata, 2.17.3).
KFP_OLDEST_PYTHON = (3, 9)


def find_unpinned_packages(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        packages = view.program.function.packages if view.program else ()
        unpinned = [each for each in packages if _is_name(each) and not any(pin in each for pin in _PINS)]
        if unpinned:
            listed = ", ".join(map(repr, unpinned))
            yield Problem(view, f"component {view.name!r} installs {listed} in any version", mark=unpinned[0])


def _is_name(package: str) -> bool:
    """Return whether a requirement is the name of a package, with or without versions, and not a path or an option."""
    return re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[|[=<>!~;,@\s]|$)", package) is not None and "/" not in package


def find_local_packages(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        for package in view.program.function.packages if view.program else ():
            if _LOCAL_PACKAGE.match(package) and not (view.program and view.program.has_embedded_files):
                problem = f"component {view.name!r} installs {package!r} from this machine"
                yield Problem(view, problem, mark=package)


def find_local_indexes(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        for url in view.program.function.index_urls if view.program else ():
            if _LOCAL_INDEX.match(url):
                problem = f"component {view.name!r} installs its packages from {url}, which is the pod itself"
                yield Problem(view, problem, mark=url)


def find_local_registries(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        image = view.container.image
        if isinstance(image, str) and re.match(r"(localhost|127\.0\.0\.1)[:/]", image):
            problem = f"component {view.name!r} runs in {image!r}, and nodes have no registry at localhost"
            yield Problem(view, problem, "image", mark=image)


def find_missing_kfp(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield Python components of official images, which do not have KFP, that do not install it."""
    for view in pipeline.containers:
        program = view.program
        if program and program.python and not program.function.kfp_requirements and not _installs_kfp(program):
            problem = f"component {view.name!r} does not install KFP, which {program.image!r} does not have"
            yield Problem(view, problem, mark="install_kfp_package")


def _installs_kfp(program: Program) -> bool:
    return "kfp" in program.package_names or any("kfp" in package for package in program.function.packages)


def find_old_pythons(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield images whose Python is older than that which the KFP package needs that a cluster installs in them."""
    for view in pipeline.containers:
        program = view.program
        needs_newest = program and f"kfp=={KFP_VERSION}" in program.function.kfp_requirements
        if program and needs_newest and program.python and program.python < KFP_OLDEST_PYTHON:
            problem = f"component {view.name!r} runs in {program.image!r}, where KFP {KFP_VERSION} cannot be installed"
            yield Problem(view, problem, "image", mark=program.image)


def find_moving_images(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        image = view.container.image
        if isinstance(image, str) and image and not _has_fixed_tag(image):
            yield Problem(
                view, f"component {view.name!r} runs in the image {image!r}, which can change", "image", mark=image
            )


def _has_fixed_tag(image: str) -> bool:
    name, _, digest = image.partition("@")
    _, _, tag = name.rpartition("/")[2].partition(":")
    return bool(digest) or bool(tag and tag != "latest")


def find_images_without_python(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        image = view.container.image
        if view.program and isinstance(image, str) and _repository(image) in _WITHOUT_PYTHON:
            problem = f"component {view.name!r} needs Python, which the image {image!r} does not have"
            yield Problem(view, problem, "image", mark=image)


def _repository(image: str) -> str:
    """Return the name of an image without its tag, and without the parts that stand for Docker Hub."""
    name = image.partition("@")[0]
    head, _, last = name.rpartition("/")
    name = f"{head}/{last.partition(':')[0]}".removeprefix("/")
    return name.removeprefix("docker.io/").removeprefix("library/")
