"""What the scripts have in common that write tables into pages of the documentation."""

from __future__ import annotations

from pathlib import Path

#: The folder of the reference pages.
REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"


def write_table(page: Path, marker: str, lines: list[str], arguments: list[str]) -> int:
    """Write or check the table between two comments of a page; return the exit code.

    Args:
        page: the page.
        marker: what the comments say: `<!-- options: written by … -->` and `<!-- end of options -->` for `options`.
        lines: the lines of the table.
        arguments: those of the script. With `--check` nothing is written, and the exit code is 1 if it is out of date.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {marker}: written by", f"<!-- end of {marker} -->"
    before, rest = text.split(begin)
    comment, rest = rest.split("-->\n", 1)
    after = rest.split(end)[1]
    current = f"{before}{begin}{comment}-->\n\n{chr(10).join(lines)}\n\n{end}{after}"
    if arguments == ["--check"]:
        return int(text != current)
    page.write_text(current, encoding="utf-8")
    return 0
