import hypothesis
import pytest
from hypothesis import strategies as st

import synfab as sf
from synfab.pulses.program import parse_program, read_program


@pytest.mark.parametrize(
    ("text", "pulses"),
    [
        ("-2", [-2.0]),
        ("-2, 1.5 x100", [-2.0] + [1.5] * 100),
        ("(-2, 1.5) x 2, 0.9", [-2.0, 1.5, -2.0, 1.5, 0.9]),
        ("((1, 2)x2, 3)x2", [1.0, 2.0, 1.0, 2.0, 3.0] * 2),
        (" +1e-1 ", [0.1]),
    ],
)
def test_expressions_are_pulses(text, pulses):
    assert parse_program(text) == pulses


@pytest.mark.parametrize(
    "text",
    ["", ",", "1,", "1 2", "x2", "1 x0", "1 x", "(1", "1)", "()", "one", "nan", "1 x999999999"],
)
def test_what_is_not_understood_is_one_line(text):
    with pytest.raises(sf.InvalidValueError, match=r"^program: [^\n]*$"):
        parse_program(text)


@hypothesis.given(st.text("0123456789.,x() -e", max_size=20))
def test_any_text_is_pulses_or_one_line(text):
    try:
        assert parse_program(text)
    except sf.InvalidValueError as error:
        refusal = str(error)
        hypothesis.event(refusal[:30])


def test_programs_come_from_tables_too(tmp_path):
    table = tmp_path / "program.csv"
    table.write_text("voltage\n-2\n1.5\n")
    assert read_program(str(table)) == [-2.0, 1.5]
    table.write_text("volts\n-2\n")
    with pytest.raises(sf.FileFormatError, match="expected a column named voltage"):
        read_program(str(table))
    for content in ("voltage\n", "voltage\nnan\n", "voltage\nx\n"):
        table.write_text(content)
        with pytest.raises(sf.FileFormatError, match="voltage: expected"):
            read_program(str(table))
    with pytest.raises(sf.FileFormatError, match="cannot read the pulse program"):
        read_program(str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("time,voltage\n0,-2\n1,up\n", "voltage: expected numbers"),
        ("time,voltage\n0,-2\n1\n", "voltage: expected at least one pulse and finite voltages"),
        ("time,voltage\n0,-2\n1,,\n", "expected 2 columns, found 3 in one line"),
        ("time,voltage\n", "voltage: expected at least one pulse"),
        ("", r"expected a column named voltage \(V\)"),
        ("time,u\n0,1\n", r"expected a column named voltage \(V\), found time, u"),
        ("voltage\n1\n" + "1" * 200_000, "line 3: field larger than field limit"),
        ("voltage\n1\n" + "2" * 2**20 + "\n", "expected lines of up to 1048576 characters"),
    ],
)
def test_a_damaged_csv_program_is_one_line(tmp_path, content, message):
    path = tmp_path / "program.csv"
    path.write_text(content)
    with pytest.raises(sf.FileFormatError, match=message) as error:
        read_program(str(path))
    assert "\n" not in str(error.value)


def test_csv_programs_as_spreadsheets_write_them(tmp_path):
    path = tmp_path / "program.CSV"
    path.write_bytes(b'\xef\xbb\xbftime, "voltage"\r\n0, "-2"\r\n\r\n1,1.5\r\n')
    assert read_program(str(path)) == [-2.0, 1.5]
