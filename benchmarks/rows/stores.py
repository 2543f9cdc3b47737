"""Rows of artifacts in object stores."""

from __future__ import annotations

from rows.row import Options, measured_row
from sides import Sides


@measured_row(
    "a file of 1 GB and a folder of 10,000 files to an S3 server and back", "each 1.2 times boto3, 16 threads"
)
def transfers(sides: Sides, options: Options) -> tuple[str, str, bool]:
    """Measure uploads and downloads, checksums included, compared with boto3 and the same server."""
    megabytes, files = ("50", "200") if options.quick else ("1000", "10000")
    seconds = sides.standpipe.print_json("transfers.py", str(sides.servers), megabytes, files)
    kinds = ("large_put", "large_get", "small_put", "small_get")
    ratios = {kind: seconds[kind] / seconds[f"boto3_{kind}"] for kind in kinds}
    measured = "; ".join(f"{kind.replace('_', ' ')} {ratios[kind]:.2f} times ({seconds[kind]:.1f} s)" for kind in kinds)
    note = f"{megabytes} MB, {files} files; moto, which is the limit"
    return measured, note, max(ratios.values()) <= 1.2
