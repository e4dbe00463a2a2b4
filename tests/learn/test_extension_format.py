"""A new measurement format is one file with a reader and one registration."""

import numpy as np
import pytest

import synfab as sf
from synfab import learn
from synfab.learn.readers import registry

# The whole trial: an instrument that writes "voltage;current" pairs, loops apart by blank lines.
TOY = """
import numpy as np

from synfab.learn import register_format, sweeps_from_arrays


def is_toy(path):
    return path.read_bytes().startswith(b"TOY 1")


def read_toy(path, columns):
    loops = path.read_text().split("\\n\\n")[1:]
    points = [[pair.split(";") for pair in loop.split()] for loop in loops]
    values = np.array(points, float)
    return sweeps_from_arrays(values[..., 0], 1e-6 * values[..., 1], names=(path.stem,))


register_format("toy", read_toy, suffixes=(".dat", ".toy"), recognises=is_toy)
"""


@pytest.fixture
def formats(monkeypatch):
    """Formats that a test registers are removed after it."""
    known = registry.readable_suffixes()
    monkeypatch.setattr(registry, "FORMATS", dict(registry.FORMATS))
    yield registry.FORMATS
    assert set(known) <= set(registry.readable_suffixes())


@pytest.fixture(scope="module")
def loops():
    """Voltages (point,) and currents (cycle, point) of one measured cell, V and A."""
    corners = [0.0, -1.5, 0.0, 1.6, 0.0]
    voltage = np.interp(np.linspace(0, 4, 161), range(5), corners)
    cell = sf.CellArray(sf.load_model("published"), (1,), seed=1, order=1)
    current = np.array([[cell.apply_voltage(u).current(u)[0] for u in voltage] for _ in range(40)])
    return voltage, current.astype(np.float64)


def write_toy(path, voltage, current):
    loops = [zip(voltage.tolist(), (1e6 * row).tolist(), strict=True) for row in current]
    texts = ["\n".join(f"{u!r};{i!r}" for u, i in loop) for loop in loops]
    path.write_text("\n\n".join(["TOY 1", *texts]))


def import_toy():
    exec(compile(TOY, "toy.py", "exec"), {})


def test_a_registered_format_is_read_like_any_other(formats, tmp_path, loops):
    import_toy()
    write_toy(tmp_path / "D7.toy", *loops)
    (device,) = learn.read_sweeps(tmp_path / "D7.toy").open_devices()
    assert device.name == "D7"
    np.testing.assert_array_equal(device.voltage, np.tile(loops[0], 40))
    np.testing.assert_allclose(device.current, loops[1].ravel(), rtol=1e-15)
    assert ".toy" in registry.readable_suffixes()


def test_a_shared_suffix_is_decided_by_the_content(formats, tmp_path, loops):
    import_toy()
    write_toy(tmp_path / "D7.dat", *loops)
    (tmp_path / "D8.dat").write_text("voltage,current\n-1.0,-2e-6\n1.0,2e-6\n")
    toy, text = (next(learn.read_sweeps(tmp_path / name).open_devices())
                 for name in ("D7.dat", "D8.dat"))  # fmt: skip
    assert len(toy.cycles) == 40
    assert sorted(text.voltage) == [-1.0, 1.0]


def test_a_folder_may_hold_files_of_a_registered_format(formats, tmp_path, loops):
    import_toy()
    for name in ("D1", "D2"):
        write_toy(tmp_path / f"{name}.toy", *loops)
    assert [d.name for d in learn.read_sweeps(tmp_path).open_devices()] == ["D1", "D2"]


def test_what_a_registered_reader_raises_ends_in_one_line(formats, tmp_path):
    import_toy()
    (tmp_path / "a.toy").write_text("TOY 1\n\n1;2;3\n4")
    with pytest.raises(sf.FileFormatError, match=r"a\.toy: cannot be read as toy: ") as caught:
        learn.read_any(tmp_path / "a.toy")
    assert "\n" not in str(caught.value)
    (tmp_path / "b.toy").write_text("something else")
    with pytest.raises(sf.FileFormatError, match=r"b\.toy: not recognised as toy"):
        learn.read_any(tmp_path / "b.toy")


def test_a_reader_may_return_a_frame_whose_columns_are_found_by_name(formats, tmp_path):
    import pandas as pd

    def read(path, columns):
        return pd.DataFrame({"U [mV]": [-1000.0, 1000.0], "I [uA]": [-2.0, 2.0]})

    learn.register_format("frames", read, suffixes=[".frame"])
    (tmp_path / "a.frame").touch()
    device = next(learn.read_sweeps(tmp_path / "a.frame").open_devices())
    assert device.voltage.tolist() == [-1.0, 1.0]
    np.testing.assert_allclose(device.current, [-2e-6, 2e-6])


def test_a_reader_that_returns_something_else_is_refused(formats, tmp_path):
    learn.register_format("lists", lambda path, columns: [1, 2], suffixes=[".lst"])
    (tmp_path / "a.lst").touch()
    with pytest.raises(sf.InvalidTypeError, match="lists: expected a table, Sweeps or Feature"):
        learn.read_any(tmp_path / "a.lst")


def test_packages_of_a_format_are_checked_before_its_reader_runs(formats, tmp_path):
    def read(path, columns):
        raise AssertionError("called")

    learn.register_format("cloudy", read, suffixes=[".cloud"], packages=["not_a_package_at_all"])
    (tmp_path / "a.cloud").touch()
    with pytest.raises(sf.SynfabError, match="not_a_package_at_all is not installed; cloudy files"):
        learn.read_any(tmp_path / "a.cloud")


def test_a_format_that_can_run_code_is_read_only_when_allowed(formats, tmp_path):
    learn.register_format("scripts", lambda path, columns: None, suffixes=[".run"], runs_code=True)
    (tmp_path / "a.run").touch()
    with pytest.raises(sf.FileFormatError, match="opening a scripts file can execute any code"):
        learn.read_any(tmp_path / "a.run")
    with pytest.raises(sf.FileFormatError, match=r"holds no file that ends in"):
        learn.read_any(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "NPZ"}, "name: a format 'NPZ' is already registered"),
        ({"suffixes": [".csv"]}, r"suffixes: \.csv is already registered for delimited text"),
        ({"suffixes": ["toy"]}, r'suffixes: expected lower case, such as "\.dat", found'),
        ({"suffixes": ".toy"}, "suffixes: expected a list of texts"),
        ({"suffixes": []}, "suffixes: expected one or more, found none"),
        ({"read": 1}, "read: expected a function, found 1"),
    ],
)
def test_a_wrong_registration_names_the_argument(formats, options, message):
    before = dict(formats)
    arguments = {"name": "toy", "read": lambda path, columns: None, "suffixes": [".toy"], **options}
    with pytest.raises(sf.SynfabError, match=message):
        learn.register_format(**arguments)
    assert before == registry.FORMATS
