"""Measurements in the explorer: read as `synfab fit` reads them, from files of any content."""

import json
from urllib.parse import urlencode

import numpy as np
import pytest
from explorer import answer, running

import synfab as sf
from synfab import learn
from synfab.cli.demo import measure as write_loops
from synfab.explore import server
from synfab.explore.measurement import KEPT, Shelf, measure, measure_upload
from synfab.explore.numbers import histogram

TABLE = b"device,cycle,r_hrs,u_set,r_lrs,u_reset\n" + b"".join(
    b"D%d,%d,%d,-0.7,5000,0.%d\n" % (d, c, 90_000 + 100 * c, 7 + c % 2)
    for d in range(3)
    for c in range(40)
)


@pytest.fixture(scope="module")
def loops(published, tmp_path_factory):
    path = tmp_path_factory.mktemp("measured") / "cycling.csv"
    sizes = {"MEASURED_CELLS": 6, "MEASURED_LOOPS": 12}
    former = {name: write_loops.__globals__[name] for name in sizes}
    write_loops.__globals__.update(sizes)
    write_loops(published, path)
    write_loops.__globals__.update(former)
    return path


@pytest.fixture(scope="module")
def port(published):
    with running(published) as explorer:
        yield explorer.port


def upload(port, data, name="mine.csv", **options):
    status, _, text = answer(
        port, f"/measurement?{urlencode({'name': name, **options})}", "POST", data
    )
    return status, json.loads(text) if status == 200 else text


def computed(port, **texts):
    panels = "loops,features,map,rows"
    status, _, text = answer(port, f"/compute?{urlencode({'panels': panels, **texts})}")
    return status, json.loads(text) if status == 200 else text


def test_features_are_those_of_fit(loops):
    found = measure(loops, loops.name, str(loops), None)
    table = learn.extract_features(learn.read_sweeps(loops))
    np.testing.assert_array_equal(found.features, table.values)
    assert (found.devices, found.name) == (6, "cycling.csv")
    assert found.voltages == pytest.approx((-1.5, 1.5), abs=0.1)


def test_an_upload_is_shown_next_to_the_model(port, loops):
    status, facts = upload(port, loops.read_bytes(), "cycling.csv")
    assert (status, facts["devices"], facts["name"]) == (200, 6, "cycling.csv")
    status, page = computed(port, measurement=facts["key"])
    assert status == 200
    assert page["measurement"] == facts
    assert len(page["columns"]["loops"]["measured"]) == 6 * 4
    assert all(one["measured"] for one in page["columns"]["features"])
    table = learn.extract_features(learn.read_sweeps(loops))
    expected = np.percentile(table.values[:, 0], [5, 50, 95])
    np.testing.assert_allclose(page["numbers"]["measured_r_hrs"], expected)


def test_without_a_measurement_none_is_shown(port):
    _, page = computed(port)
    assert page["measurement"] is None
    assert page["columns"]["loops"]["measured"] == []
    assert not any(one["measured"] for one in page["columns"]["features"])


def test_a_table_of_features_has_no_loops(port):
    status, facts = upload(port, TABLE)
    assert (status, facts["cycles"], facts["voltages"]) == (200, 120, None)
    _, page = computed(port, measurement=facts["key"])
    assert page["columns"]["loops"]["measured"] == []
    assert page["numbers"]["measured_u_set"] == [-0.7, -0.7, -0.7]


def test_columns_can_be_named(port):
    renamed = TABLE.replace(b"u_set", b"first").replace(b"u_reset", b"second")
    status, text = upload(port, renamed)
    assert status == 400
    assert text.startswith("mine.csv: u_set: no such column")
    status, facts = upload(port, renamed, columns="u_set=first,u_reset=second")
    assert (status, facts["cycles"]) == (200, 120)


def test_a_measurement_of_the_start_is_shown_until_it_is_removed(published, loops):
    found = measure(loops, loops.name, str(loops), None)
    with running(published, measured=found) as explorer:
        assert computed(explorer.port)[1]["measurement"]["name"] == "cycling.csv"
        assert computed(explorer.port, measurement="")[1]["measurement"] is None


HOSTILE = {
    "empty.csv": b"",
    "zeros.csv": bytes(5000),
    "binary.csv": bytes(range(256)) * 40,
    "words.csv": b"<script>alert(1)</script>\n" * 20,
    "one.csv": b"1\n",
    "nan.csv": b"voltage,current\n" + b"nan,nan\n" * 50,
    "swapped.csv": b"device,cycle,r_hrs,u_set,r_lrs,u_reset\nA,1,5e3,-0.7,1e5,0.7\n" * 1,
    "quote.csv": b'voltage,current\n"1,2\n3,4\n',
    "bomb.csv.gz": b"\x1f\x8b\x08" + bytes(40),
    "broken.h5": b"\x89HDF\r\n\x1a\n" + bytes(200),
    "broken.parquet": b"PAR1" + bytes(100) + b"PAR1",
    "broken.xlsx": b"PK\x03\x04" + bytes(100),
    "broken.npz": b"PK\x03\x04" + bytes(100),
    "broken.mat": b"MATLAB 5.0 MAT-file" + bytes(200),
    "pickle.pkl": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "program.py": b"print(1)",
    "no_suffix": b"voltage,current\n1,2\n",
    "../../../etc/passwd": b"x",
    "a\nb.csv": b"x",
    "": b"x",
}


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_a_file_that_cannot_be_evaluated_is_one_line(port, name):
    status, text = upload(port, HOSTILE[name], name)
    assert status == 400
    assert text.count("\n") == 1
    assert len(text) < 700
    assert "/tmp" not in text
    assert "Traceback" not in text
    assert computed(port)[0] == 200


def test_a_file_that_is_too_large_is_one_line(published, monkeypatch):
    monkeypatch.setattr(server, "UPLOAD_BYTES", 10_000)
    with running(published) as explorer:
        status, text = upload(explorer.port, bytes(10_001))
        assert status == 413
        assert text.startswith("mine.csv: has 9.8 KiB; the limit is 9.8 KiB; start the explorer")
        assert text.count("\n") == 1
        assert upload(explorer.port, TABLE)[0] == 200  # the server still answers


def test_a_file_without_a_stated_size_is_measured_on_arrival(published, monkeypatch):
    monkeypatch.setattr(server, "UPLOAD_BYTES", 10_000)
    chunks = b"1000\r\n" + bytes(4096) + b"\r\n"
    with running(published) as explorer:
        status, _, text = answer(
            explorer.port, "/measurement?name=mine.csv", "POST", 3 * chunks + b"0\r\n\r\n",
            Transfer_Encoding="chunked",
        )  # fmt: skip
        assert status == 413
        assert text.startswith("mine.csv: has ")


def test_a_measurement_that_is_not_loaded_is_one_line(port):
    assert computed(port, measurement="0123456789ab") == (
        400, "measurement: 0123456789ab is not loaded; open the file again\n"
    )  # fmt: skip
    status, _, text = answer(port, "/?measurement=0123456789ab&cells=7")
    assert status == 200
    assert "0123456789ab is not loaded; open the file again. Defaults are shown instead." in text
    assert 'value="7"' in text


def test_a_bounded_number_of_uploads_is_kept():
    first = measure_upload(TABLE, "first.csv", None)
    shelf = Shelf(first)
    uploads = [measure_upload(TABLE, f"{k}.csv", None) for k in range(KEPT + 1)]
    for one in uploads:
        shelf.add(one)
    assert shelf.get(first.key) is first
    assert shelf.get(uploads[-1].key) is uploads[-1]
    with pytest.raises(sf.FileFormatError, match="not loaded"):
        shelf.get(uploads[0].key)


def test_distributions_have_equal_bins_and_add_up():
    made, measured = np.linspace(4e3, 6e3, 500), np.linspace(5e3, 7e3, 300)
    found = histogram("r_lrs", made, measured)
    assert len(found["generated"]) == len(found["measured"]) == len(found["left"])
    assert found["generated"].sum() == pytest.approx(100.0, abs=1.0)
    assert found["measured"].sum() == pytest.approx(100.0, abs=1.0)


def test_distributions_of_failed_cells_and_of_constants_have_finite_bins():
    failed = np.array([-0.7, -0.8, -np.inf])
    constant = np.full(50, 0.7)
    for found in (histogram("u_set", failed, None), histogram("u_reset", constant, constant)):
        assert np.isfinite(found["left"]).all()
        assert found["generated"].sum() == pytest.approx(100.0)
    assert histogram("u_set", np.array([-np.inf]), None)["left"].size == 0
