"""Packages with C code, and what is known of them: see `docs/reference/warm-libraries.md`, where it was measured.

A package is named by its folder or its single file in site-packages: `numpy` stands for `numpy/` and `numpy.libs/`,
`_cffi_backend` for `_cffi_backend.cpython-311-x86_64-linux-gnu.so`.
"""

from __future__ import annotations

import re

#: Packages that are never imported before a fork, and why. They are named as they are imported.
UNSAFE = {
    "onnxruntime": "it keeps a database open, and half of the forked processes aborted (onnxruntime 1.32.0)",
}

#: Packages that work in processes that are forked after their import, whether or not that starts OS threads, and that
#: leave nothing to be written at the end of a process but what belongs to an object of theirs.
MEASURED = frozenset(
    (
        *("PIL", "_cffi_backend", "_duckdb", "_polars_runtime_32", "bottleneck", "catboost", "cftime"),
        *("charset_normalizer", "cryptography", "cv2", "google", "google_crc32c", "grpc", "h5py"),
        *("jaxlib", "kiwisolver", "lightgbm", "llvmlite", "lxml", "matplotlib", "ml_dtypes", "msgpack"),
        *("netCDF4", "netcdf4", "numba", "numcodecs", "numexpr", "numpy"),
        *("opencv_python", "opencv_python_headless"),
        *("pandas", "pillow", "psycopg_binary", "pyarrow", "pydantic_core", "regex", "safetensors"),
        *("scikit_learn", "scipy", "sentencepiece", "sklearn", "sqlalchemy", "statsmodels", "tokenizers"),
        *("torch", "wrapt", "xgboost", "yaml"),
    )
)

#: The beginnings of the names of classes in C whose objects write when they are dropped: in measured packages and in
#: the standard library.
WRITERS = (
    *("_ctypes.", "_dbm.", "_duckdb.", "_gdbm.", "ctypes.", "cv2.", "h5py.", "lxml.", "netCDF4.", "pyarrow._csv."),
    *("pyarrow._orc.", "pyarrow._parquet.", "pyarrow.lib.", "sqlite3.", "tables.", "torch._C.PyTorchFileWriter"),
)

_PACKAGE = re.compile(r".*/(?:site|dist)-packages/([^/.]+)")


def package_of(file: str) -> str:
    """Return the package of a file of C code; empty if it is not in site-packages."""
    match = _PACKAGE.match(file)
    return match.group(1) if match else ""
