"""Spreadsheets, MATLAB files and compressed text that claim to be larger than they are."""

import struct
import zipfile
import zlib

import pytest
from fuzz import seeds
from fuzz.archives import members, pack
from hostile import consumed

import synfab as sf
from synfab.learn.readers import excel, folder


def test_a_cell_far_away_in_an_old_excel_file(tmp_path, refused):
    """python-calamine allocates all cells up to it, and aborts."""
    data = bytearray(seeds.xlss(tmp_path)[1])
    at = data.find(struct.pack("<HHHH", 0x0203, 14, 1, 2))  # a number in row 1, column 2
    for row, column in ((65535, 65535), (65535, 255), (1, 65535)):
        data[at + 4 : at + 8] = struct.pack("<HH", row, column)
        (tmp_path / "far.xls").write_bytes(data)
        refused(consumed, tmp_path / "far.xls", "not an Excel 97 file|fields; save it|empty rows")


CELL = '<t:table-cell o:value="1"{}/>'


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("<t:table-row t:number-rows-repeated='999999999'>" + CELL.format("") + "</t:table-row>",
         "fields; save it as"),
        ("<t:table-row>" + CELL.format(" t:number-columns-repeated='999999999'") + "</t:table-row>",
         "fields; save it as"),
        ("<t:table-row>" + CELL.format("") + "<t:table-cell t:number-columns-repeated='99999999'/>"
         + CELL.format("") + "</t:table-row>", "fields; save it as"),
        ("<t:table-row>" + CELL.format("") + "</t:table-row>"
         "<t:table-row t:number-rows-repeated='20000'/><t:table-row>" + CELL.format("")
         + "</t:table-row>", "empty rows between"),
        ("<t:table-row t:number-rows-repeated='x'>" + CELL.format("") + "</t:table-row>",
         "cannot be read as ods"),
        ("&a;", "cannot be read as ods"),
    ],
)  # fmt: skip
def test_repeated_cells_of_open_document_files(tmp_path, refused, rows, words):
    content = members(seeds.odss(tmp_path)[0])["content.xml"].decode()
    head, tail = content.split("<t:table-row>", 1)[0], "</t:table></o:document-content>"
    (tmp_path / "far.ods").write_bytes(pack({"content.xml": (head + rows + tail).encode()}))
    refused(consumed, tmp_path / "far.ods", words)


def test_entities_that_expand_and_members_that_unpack_to_much(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(excel, "UNPACKED_BYTES", 2**24)
    path = tmp_path / "far.ods"
    entities = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "lollollol">{entities}]><x>&a9;</x>'
    path.write_bytes(pack({"content.xml": bomb.encode()}))
    refused(consumed, path, "cannot be read as ods")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("content.xml", b" " * (2**24 + 1))
    refused(consumed, path, "unpacked: has")


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(shape, data, kind=9):
    return element(14, element(6, struct.pack("<II", 6, 0))
                   + element(5, struct.pack(f"<{len(shape)}i", *shape))
                   + element(1, b"V") + element(kind, data))  # fmt: skip


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (matrix((2**30, 2**30), bytes(16)), "an array of shape .* has 2 numbers"),
        (matrix((-1, -2), bytes(16)), "an array of shape"),
        (matrix((2,), bytes(16), kind=77), "unknown type 77"),
        (struct.pack("<II", 14, 2**31) + bytes(64), "ends beyond the file"),
        (element(15, zlib.compress(bytes(2**27 + 2**21), 1)), "arrays: need"),
        (element(14, b""), "expected arrays of numbers, found none"),
    ],
)
def test_matlab_files_that_claim_much(tmp_path, refused, body, words):
    path = tmp_path / "far.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + body)
    if "arrays: need" in words:
        refused(consumed, path, words, most=2**28)
    else:
        refused(consumed, path, words)
    path.write_bytes(struct.pack("<5i", 0, 2**30, 2**30, 0, 2) + b"V\0" + bytes(64))
    refused(consumed, path, "ends beyond the file")


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):

    (tmp_path / "inner").mkdir()
    for number in range(3):
        (tmp_path / "inner" / f"{number}.csv").write_text("voltage,current\n")
    monkeypatch.setattr(folder, "MAX_ENTRIES", 2)
    with pytest.raises(sf.FileFormatError, match="inner: expected a folder of measurements"):
        sf.learn.read_sweeps(tmp_path)
    monkeypatch.undo()

    def refused(_):
        raise PermissionError(13, "Permission denied", str(tmp_path / "inner"))

    monkeypatch.setattr(folder.Path, "iterdir", refused)
    with pytest.raises(sf.FileFormatError, match="inner: cannot be read: Permission denied"):
        sf.learn.read_sweeps(tmp_path)
