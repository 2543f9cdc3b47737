"""Previews of payloads: what they show of each kind of file, and that nothing a task leaves breaks or escapes them."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.history import Artifact
from standpipe.ui.views.folders import Folder
from standpipe.ui.views.json_tree import JsonNode
from standpipe.ui.views.numpy_header import NumpyHeader
from standpipe.ui.views.previews import Preview, read_preview
from standpipe.ui.views.tables import Table

Read = Callable[..., Preview]


def artifact(location: str | Path, type: str = "system.Artifact", digest: str = "sha256:1") -> Artifact:
    return Artifact("data", type, str(location), digest, None, {}, "train", (), str(location))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "run").mkdir(parents=True)
    return root


@pytest.fixture
def read(root: Path) -> Read:
    """Return a function that writes a payload and returns its preview."""

    def write_and_read(content: str | bytes, type: str = "system.Artifact", **options: Any) -> Preview:
        path = root / "run" / "data"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_preview(artifact(path, type), root, **options)

    return write_and_read


def table_of(preview: Preview) -> Table:
    assert preview.kind == "table"
    assert isinstance(preview.content, Table)
    return preview.content


# --- tables -----------------------------------------------------------------------------------------------------------


def test_csv_is_a_table_with_types(read: Read) -> None:
    preview = read(
        'name,size,share,day,ok\n"a, b",1,0.5,2026-11-30,true\nc,-2,1e-3,2026-12-01,False\n', "system.Dataset"
    )
    table = table_of(preview)

    assert (preview.type, preview.size, preview.note) == ("CSV", 79, "")
    assert [(column.name, column.type) for column in table.columns] == [
        *(("name", "text"), ("size", "integer"), ("share", "number"), ("day", "date"), ("ok", "boolean")),
    ]
    assert table.rows == (("a, b", "1", "0.5", "2026-11-30", "true"), ("c", "-2", "1e-3", "2026-12-01", "False"))
    assert (table.row_count, table.column_count, table.is_exact) == (2, 5, True)


@pytest.mark.parametrize(
    ("text", "type"),
    [("a\tb\n1\t2\n", "TSV"), ("a;b\n1;2\n", "CSV with semicolons"), ("a|b\n1|2\n", "Table with bars")],
)
def test_other_separators_are_recognised(read: Read, text: str, type: str) -> None:
    preview = read(text)

    assert preview.type == type
    assert table_of(preview).rows == (("1", "2"),)


def test_a_table_without_names_gets_numbers(read: Read) -> None:
    table = table_of(read("1,2\n3,4\n"))

    assert [column.name for column in table.columns] == ["column 1", "column 2"]
    assert table.row_count == 2


def test_the_index_of_pandas_has_no_name(read: Read) -> None:
    table = table_of(read(",x\n0,5\n1,6\n"))

    assert [column.name for column in table.columns] == ["", "x"]
    assert table.row_count == 2


def test_rows_of_different_lengths_are_filled(read: Read, root: Path) -> None:
    (root / "run" / "x.csv").write_text("a,b\n1\n1,2,3\n")
    table = table_of(read_preview(artifact(root / "run" / "x.csv"), root))

    assert table.column_count == 3
    assert table.rows == (("1", "", ""), ("1", "2", "3"))


def test_rows_are_counted_and_the_first_ones_shown(read: Read) -> None:
    table = table_of(read("a,b\n" + "1,2\n" * 100_000))

    assert (table.row_count, len(table.rows), table.is_exact) == (100_000, 200, True)


def test_lines_in_quotes_are_no_rows(read: Read) -> None:
    table = table_of(read("a,b\n" + '1,"x\ny"\n' * 60_000))

    assert table.row_count == 60_000
    assert table.rows[0] == ("1", "x y")


def test_counting_ends_after_8_mib(read: Read) -> None:
    table = table_of(read("a,b\n" + "1,2\n" * 4_000_000))

    assert not table.is_exact
    assert table.row_count == 8 * 1024 * 1024 // 4 - 1


def test_many_columns_are_counted_and_the_first_ones_shown(read: Read) -> None:
    line = ",".join("x" * 3 for _ in range(2000)) + "\n"
    table = table_of(read(line * 3))

    assert (table.column_count, len(table.columns), len(table.rows[0])) == (2000, 50, 50)


def test_long_cells_are_shortened(read: Read) -> None:
    table = table_of(read(f"a,b\n{'x' * 5000},1\n"))

    assert len(table.rows[0][0]) == 200


def test_a_cell_that_no_csv_reader_takes_makes_it_a_text(read: Read) -> None:
    assert read(f"a,b\n{'x' * 200_000},1\n").kind in ("table", "text")


def test_prose_with_commas_is_text(read: Read) -> None:
    assert read("Dear all,\nwe have, as you know, finished.\nRegards, me\n").kind == "text"


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_json_is_a_tree(read: Read) -> None:
    preview = read(json.dumps({"a": [1, 2.5, None, True], "b": {"c": "<x>"}}))

    assert (preview.kind, preview.type) == ("json", "JSON")
    assert isinstance(preview.content, JsonNode)
    first, second = preview.content.children
    assert (preview.content.text, first.text, second.text) == ("2 keys", "4 items", "1 key")
    assert [(child.key, child.type, child.text) for child in first.children] == [
        *(("0", "number", "1"), ("1", "number", "2.5"), ("2", "constant", "null"), ("3", "constant", "true")),
    ]
    assert second.children[0].text == '"<x>"'


def test_a_long_list_is_cut(read: Read) -> None:
    content = read(json.dumps([*range(50_000)])).content

    assert isinstance(content, JsonNode)
    assert (len(content.children), content.hidden) == (200, 49_800)


def test_a_tree_has_limits_in_width_and_depth() -> None:
    from standpipe.ui.views.json_tree import json_tree  # one test

    def count(node: JsonNode) -> int:
        return 1 + sum(map(count, node.children))

    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    assert count(json_tree(deep)) == 13
    assert count(json_tree([[[1] * 150] * 150] * 150)) <= 2001


def test_json_lines_with_flat_records_are_a_table(read: Read) -> None:
    preview = read('{"a": 1, "b": "x"}\n{"a": 2, "c": null}\n')

    assert preview.type == "JSON lines"
    assert table_of(preview).rows == (("1", "x", ""), ("2", "", ""))
    assert table_of(preview).row_count == 2


def test_json_lines_with_nested_records_are_a_tree(read: Read) -> None:
    preview = read('{"a": [1]}\n{"a": [2]}\n{"a": []}')

    assert preview.kind == "json"
    assert isinstance(preview.content, JsonNode)
    assert preview.content.text == "3 records"


@pytest.mark.parametrize(
    "text", ['{"a": }', "[1, 2", "[" * 200_000, "{not json}", '{"a": 1' + "0" * 5000 + "}", "[NaN]"]
)
def test_faulty_json_is_text(read: Read, text: str) -> None:
    assert read(text).kind == "text"


# --- texts ------------------------------------------------------------------------------------------------------------


def test_text_is_shown_without_control_characters(read: Read) -> None:
    assert read("one\r\ntwo \x1b[31mred\x1b[0m\n").content == "one\ntwo red\n"


def test_a_long_text_is_cut(read: Read) -> None:
    preview = read("line\n" * 5000)

    assert str(preview.content).count("\n") == 999
    assert preview.note == "Only a part of it is shown."


def test_a_huge_line_is_cut(read: Read) -> None:
    preview = read("x" * 3_000_000)

    assert len(str(preview.content)) == 2001
    assert preview.size == 3_000_000


def test_some_faults_in_an_encoding_are_counted(read: Read) -> None:
    preview = read(b"caf\xe9 and much more text, so that it is one\n")

    assert preview.kind == "text"
    assert preview.note == "1 of its bytes are not text."


def test_a_character_at_the_end_of_what_is_read_is_no_fault(read: Read) -> None:
    preview = read("x" + "é" * 200_000)

    assert preview.kind == "text"
    assert preview.note == "Only a part of it is shown."


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_marks_of_encodings_are_understood(read: Read, encoding: str) -> None:
    assert table_of(read("a,b\n1,2\n".encode(encoding))).columns[0].name == "a"


def test_an_empty_file_says_so(read: Read) -> None:
    assert read("").note == "The file is empty."


def test_binary_files_are_shown_as_bytes(read: Read) -> None:
    preview = read(bytes(range(256)))

    assert (preview.kind, preview.type) == ("hex", "Binary file")
    assert str(preview.content).splitlines()[4].endswith("  @ABCDEFGHIJKLMNO")


def test_a_pickle_is_never_loaded(read: Read) -> None:
    import pickle  # to write one

    preview = read(pickle.dumps({"a": 1}))

    assert preview.type == "Python pickle"
    assert "can run code" in preview.note


# --- Markdown, HTML, images, arrays -----------------------------------------------------------------------------------


def test_markdown_is_rendered(read: Read) -> None:
    preview = read("# Title\n\n|a|b|\n|-|--:|\n|1|2|\n", "system.Markdown")

    assert preview.kind == "markdown"
    assert "<h3>Title</h3>" in str(preview.content)
    assert '<td class="align-right">2</td>' in str(preview.content)


def test_markdown_cannot_do_more_than_be_read(read: Read) -> None:
    text = (
        "<script>alert(1)</script> <img src=x onerror=alert(1)> [a](javascript:alert(1)) [b](/runs/x/stop) "
        '![c](https://example.org/c.png) ![d](data:image/svg+xml;base64,AA) [e](data:text/html,x "t") '
        "[f](HTTPS://example.org) ![g](data:image/png;base64,AA) <https://example.org/h>"
    )
    html = str(read(text, "system.Markdown").content)

    assert "<script" not in html
    assert "<img src=x" not in html
    assert html.count("<img") == 1
    assert '<img src="data:image/png;base64,AA"' in html
    assert html.count("href=") == 2
    assert html.count('target="_blank" rel="noopener noreferrer nofollow"') == 2
    assert "style=" not in html


def test_html_is_left_to_a_frame(read: Read) -> None:
    preview = read("<p>hello", "system.HTML")

    assert (preview.kind, preview.data) == ("html", "")
    assert read("<!DOCTYPE html><p>hello").kind == "html"


def test_images_and_pages_become_a_part_of_a_report(read: Read) -> None:
    assert read(b"GIF89a...", embed=True).data == "data:image/gif;base64,R0lGODlhLi4u"
    assert read("<svg/>", embed=True).data.startswith("data:image/svg+xml;base64,")
    assert read("<p>hello", "system.HTML", embed=True).data == "<p>hello"
    assert read(b"GIF89a" + bytes(1024 * 1024), embed=True).data == ""


@pytest.mark.parametrize(
    ("content", "type"),
    [
        *((b"\x89PNG\r\n\x1a\n", "PNG image"), (b"\xff\xd8\xff\xe0", "JPEG image"), (b"GIF87a", "GIF image")),
        *((b"RIFF\0\0\0\0WEBPVP8 ", "WebP image"), (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "SVG image")),
    ],
)
def test_images_are_recognised(read: Read, content: bytes, type: str) -> None:
    preview = read(content)

    assert (preview.kind, preview.type) == ("image", type)


def numpy_file(header: str, version: int = 1) -> bytes:
    width = "<H" if version == 1 else "<I"
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack(width, len(header)) + header.encode() + bytes(64)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_arrays_show_their_shape(read: Read, version: int) -> None:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (150, 4), }" + " " * 10 + "\n"

    assert read(numpy_file(header, version)).content == NumpyHeader((150, 4), "<f8", "C")


@pytest.mark.parametrize("header", ["", "{}", "[1]", "__import__('os')", "(" * 5000, "{'descr': 1, 'shape': 5}"])
def test_faulty_headers_of_arrays_are_bytes(read: Read, header: str) -> None:
    assert read(numpy_file(header)).kind == "hex"


# --- folders and paths ------------------------------------------------------------------------------------------------


def test_a_folder_is_a_tree_with_sizes(root: Path) -> None:
    folder = root / "run" / "model"
    (folder / "parts").mkdir(parents=True)
    (folder / "a.txt").write_text("hello")
    (folder / "parts" / "1.bin").write_bytes(bytes(100))
    (folder / "link").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    content = read_preview(artifact(folder), root).content

    assert isinstance(content, Folder)
    assert [(entry.name, entry.kind, entry.size) for entry in content.entries] == [
        *(("parts", "folder", None), ("a.txt", "file", 5), ("link", "link", None), ("pipe", "other", None)),
    ]
    assert content.entries[0].children[0].path == "parts/1.bin"
    assert (content.file_count, content.total_size) == (2, 105)


def test_a_large_and_deep_folder_is_cut(root: Path) -> None:
    folder = root / "run" / "model"
    (folder / "/".join("d" * 40)).mkdir(parents=True)
    for number in range(600):
        (folder / f"{number}.txt").touch()
    content = read_preview(artifact(folder), root).content

    assert isinstance(content, Folder)
    assert content.hidden > 100


def test_a_file_in_a_folder_has_a_preview(root: Path) -> None:
    folder = root / "run" / "model"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "README.md").write_text("# Title")
    preview = read_preview(artifact(folder, "system.Model"), root, "docs/README.md")

    assert (preview.kind, preview.inner) == ("markdown", "docs/README.md")


@pytest.mark.parametrize(
    "inner", ["../secret", "a/../../secret", "/etc/passwd", "", "a//b", ".", "link/passwd", "x\0y"]
)
def test_paths_in_a_folder_cannot_leave_it(root: Path, inner: str) -> None:
    folder = root / "run" / "model"
    folder.mkdir()
    (folder / "link").symlink_to("/etc")
    (root / "run" / "secret").write_text("secret")
    preview = read_preview(artifact(folder), root, inner)

    assert preview.kind == ("none" if inner else "folder")
    assert "secret" not in str(preview.content)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "../secret"])
def test_links_and_paths_that_lead_out_of_the_root_are_not_followed(root: Path, target: str) -> None:
    (root.parent / "secret").write_text("secret")
    link = root / "run" / "link"
    link.symlink_to("../../secret" if target == "../secret" else target)
    for location in (link, Path(target), root / target, f"{root}/../secret"):
        preview = read_preview(artifact(location), root)
        assert preview.kind == "none", location
        assert preview.content is None


def test_a_link_that_stays_in_the_root_is_followed(root: Path) -> None:
    (root / "run" / "real").write_text("hello")
    (root / "run" / "link").symlink_to("real")

    assert read_preview(artifact(root / "run" / "link"), root).content == "hello"


def test_a_chain_of_links_without_an_end_says_so(root: Path) -> None:
    (root / "run" / "a").symlink_to("b")
    (root / "run" / "b").symlink_to("a")

    assert read_preview(artifact(root / "run" / "a"), root).note == "The payload has a path that cannot be opened."


def test_what_is_no_file_is_not_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "run")  # the path of a socket must be short
    os.mkfifo(root / "run" / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name, kind in (("fifo", "a FIFO"), ("socket", "a socket")):
            assert kind in read_preview(artifact(root / "run" / name), root).note


@pytest.mark.parametrize(
    ("location", "note"),
    [
        ("s3://bucket/key", "The payload is at s3://bucket/key, and this machine has no copy of it."),
        ("relative", "The URI of this artifact is not a path, and its payload cannot be shown."),
        ("/root/x\0y", "The payload has a path that cannot be opened."),
    ],
)
def test_what_is_on_no_path_here_says_so(root: Path, location: str, note: str) -> None:
    assert read_preview(artifact(location), root).note == note


def test_a_removed_payload_says_so(root: Path) -> None:
    preview = read_preview(artifact(root / "run" / "missing"), root)

    assert preview.note == "The payload is no longer there: it was removed after the task ended."


def test_an_artifact_without_a_payload_says_so(root: Path) -> None:
    preview = read_preview(artifact(root / "run" / "missing", digest=""), root)

    assert preview.note == "The task wrote no payload: this artifact has its metadata only."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_payload_says_so(root: Path) -> None:
    path = root / "run" / "data"
    path.touch(mode=0)

    assert read_preview(artifact(path), root).note == "The payload cannot be read: Permission denied."


@pytest.fixture
def untraced() -> Iterator[None]:
    """Keep coverage out of a test that measures time: it multiplies that."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.mark.parametrize(
    "content",
    [
        *(b"a,b\n" + b'"x\ny",2\n' * 2_000_000, b"[" + b"1," * 4_000_000 + b"1]", b"x" * 20_000_000),
        *(b"# a\n" * 4_000_000, b'"' * 20_000_000, b'{"a": 1}\n' * 2_000_000, bytes(20_000_000)),
        *(b"1" * 120_000 + b",2\n" + b"1,2\n", b">" * 200_000, b"*a" * 100_000, b"[" * 100_000 + b"\n"),
    ],
    ids=range(11),
)
@pytest.mark.parametrize("type", ["system.Dataset", "system.Markdown"])
@pytest.mark.usefixtures("untraced")
def test_no_content_takes_long(read: Read, content: bytes, type: str) -> None:
    begin = time.process_time()
    read(content, type)

    assert time.process_time() - begin < 2  # seconds; at most 0.7 on an idle machine


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_content_has_a_preview(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.getbasetemp() / "any"
    root.mkdir(exist_ok=True)
    (root / "data").write_bytes(content)

    assert read_preview(artifact(root / "data"), root).kind
