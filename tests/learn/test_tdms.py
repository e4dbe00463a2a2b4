"""TDMS files of LabVIEW: groups are devices or cycles, channels are columns."""

import logging

import loop_generator
import numpy as np
import pytest

import synfab as sf
from synfab import learn

nptdms = pytest.importorskip("nptdms")
CYCLES = 12


@pytest.fixture(scope="module")
def made():
    return loop_generator.made_loops(cycles=CYCLES, low=-1.2, high=1.2, u_set=-0.8, u_reset=0.8,
                                     residue=0.4, offset=1e-7)  # fmt: skip


def features(source):
    return learn.extract_features(learn.read_sweeps(source), conduction=None)


@pytest.fixture(scope="module")
def reference(made):
    return learn.extract_features(
        learn.sweeps_from_arrays(made.voltage, made.current), conduction=None
    )


def write(path, groups, **properties):
    """Write groups of channels; ``properties`` are those of the channels by name."""
    with nptdms.TdmsWriter(path) as file:
        file.write_segment([
            nptdms.RootObject(properties={"operator": "somebody"}),
            *(nptdms.ChannelObject(group, name, np.asarray(data), properties.get(name, {}))
              for group, channels in groups.items() for name, data in channels.items()),
        ])  # fmt: skip


def channels(made, unit=1.0):
    return {"Voltage": made.voltage.ravel(), "Current": unit * made.current.ravel()}


def test_one_group_is_one_record(tmp_path, made, reference):
    write(tmp_path / "a.tdms", {"Data": channels(made)})
    np.testing.assert_allclose(features(tmp_path / "a.tdms").values, reference.values, rtol=1e-12)


def test_the_unit_of_a_channel_is_its_property(tmp_path, made, reference):
    write(tmp_path / "a.tdms", {"Data": channels(made, 1e6)}, Current={"unit_string": "uA"})
    np.testing.assert_allclose(features(tmp_path / "a.tdms").values, reference.values, rtol=1e-9)


def test_a_unit_in_the_name_counts(tmp_path, made, reference):
    data = {"Voltage [V]": made.voltage.ravel(), "I (mA)": 1e3 * made.current.ravel()}
    write(tmp_path / "a.tdms", {"Data": data}, **{"I (mA)": {"unit_string": "mA"}})
    np.testing.assert_allclose(features(tmp_path / "a.tdms").values, reference.values, rtol=1e-9)


def test_groups_are_devices(tmp_path, made):
    write(tmp_path / "a.tdms", {"D1": channels(made), "D2": channels(made)})
    assert [d.name for d in learn.read_sweeps(tmp_path / "a.tdms").open_devices()] == ["D1", "D2"]


def test_groups_called_cycles_are_cycles(tmp_path, made, reference):
    loops = zip(np.split(made.voltage.ravel(), CYCLES), np.split(made.current.ravel(), CYCLES),
                strict=True)  # fmt: skip
    groups = {f"Cycle {k}": {"Voltage": v, "Current": i} for k, (v, i) in enumerate(loops)}
    write(tmp_path / "a.tdms", groups)
    (device,) = learn.read_sweeps(tmp_path / "a.tdms").open_devices()
    assert len(np.unique(device.cycles)) == CYCLES
    assert len(features(tmp_path / "a.tdms")) == len(reference)


def test_a_record_in_many_segments_is_whole(tmp_path, made, reference):
    with nptdms.TdmsWriter(tmp_path / "a.tdms") as file:
        for part in range(CYCLES):
            points = slice(
                part * made.voltage.size // CYCLES, (part + 1) * made.voltage.size // CYCLES
            )
            file.write_segment([nptdms.ChannelObject("Data", name, data[points])
                                for name, data in channels(made).items()])  # fmt: skip
    np.testing.assert_allclose(features(tmp_path / "a.tdms").values, reference.values, rtol=1e-12)


def test_single_values_and_other_groups_are_ignored(tmp_path, made, reference):
    write(tmp_path / "a.tdms", {
        "Setup": {"Compliance": [1e-3]},
        "Data": {**channels(made), "Temperature at start": [300.0]},
    })  # fmt: skip
    np.testing.assert_allclose(features(tmp_path / "a.tdms").values, reference.values, rtol=1e-12)


def test_an_index_file_next_to_it_is_not_trusted(tmp_path, made, reference):
    write(tmp_path / "a.tdms", {"Data": channels(made)})
    (tmp_path / "a.tdms_index").write_bytes(b"TDSh of another file")
    np.testing.assert_allclose(features(tmp_path / "a.tdms").values, reference.values, rtol=1e-12)


def test_channels_of_different_length_are_named(tmp_path):
    write(tmp_path / "a.tdms", {"Data": {"Voltage": [0.0, 1.0, 2.0], "Current": [0.0, 1.0]}})
    with pytest.raises(sf.FileFormatError, match=r"group Data: expected channels of equal length"):
        learn.read_sweeps(tmp_path / "a.tdms")


@pytest.mark.parametrize("content", [b"", b"TDSm", b"not a measurement", bytes(64)])
def test_other_files_are_refused_in_one_line(tmp_path, content, capfd):
    (tmp_path / "a.tdms").write_bytes(content)
    with pytest.raises(sf.FileFormatError, match=r"a\.tdms: ") as caught:
        learn.read_sweeps(tmp_path / "a.tdms")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_aborted_recording_is_reported(tmp_path, made, caplog):
    write(tmp_path / "a.tdms", {"Data": channels(made)})
    (tmp_path / "a.tdms").write_bytes((tmp_path / "a.tdms").read_bytes()[:-8])
    with (
        caplog.at_level(logging.WARNING, logger="synfab"),
        pytest.raises(sf.FileFormatError, match="expected channels of equal length"),
    ):
        learn.read_sweeps(tmp_path / "a.tdms")
    assert any("less data than expected" in record.getMessage() for record in caplog.records)
