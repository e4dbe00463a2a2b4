"""The script of a page prints the numbers of the page."""

import json
import subprocess
import sys

import numpy as np
import pytest
from trap_models import model_with_traps

import synfab as sf
from synfab.cli.demo import measure as write_loops
from synfab.explore.answer import PANELS, answer
from synfab.explore.measurement import Shelf, measure, measure_upload
from synfab.explore.script import origin_of
from synfab.explore.settings import controls, settings
from synfab.explore.stages import Stages
from synfab.model import Conditions, save_model

SMALL = {"cells": "20", "cycles": "3", "rows": "8"}


def page_of(model, source=None, measured=None, **texts):
    now = settings(controls(model), {**SMALL, **texts})
    if measured is not None:
        now = now._replace(measurement=measured.key)
    return answer(Stages(model), origin_of(model, source), Shelf(measured), now, tuple(PANELS))


def printed(script, folder, capsys):
    """The numbers that a script prints, run as a program is in an empty namespace."""
    (folder / "copied.py").write_text(script, encoding="utf-8")
    exec(compile(script, "copied.py", "exec"), {"__name__": "__main__"})
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"u_min": "-1.3", "u_max": "1.1", "seed": "7", "order": "3"},
        {"wire_resistance": "0", "read_voltage": "0.05"},
        {"wire_resistance": "10", "rows": "16", "colour": "cycle", "scale": "log"},
    ],
    ids=str,
)
def test_a_script_prints_the_numbers_of_the_page(published, tmp_path, capsys, texts):
    page = page_of(published, **texts)
    assert printed(page["script"], tmp_path, capsys) == page["numbers"]


def test_a_script_is_a_complete_program(published, tmp_path):
    page = page_of(published)
    (tmp_path / "copied.py").write_text(page["script"])
    done = subprocess.run(
        [sys.executable, "-W", "error", "copied.py"], cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.stderr == ""
    assert json.loads(done.stdout) == page["numbers"]


def test_a_script_waits_as_the_page_does(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = model_with_traps()
    save_model(model, "traps.json")
    page = page_of(model, "traps.json", log_time="4", temperature="350")
    assert "array.wait(10000.0, 350.0)" in page["script"]
    assert printed(page["script"], tmp_path, capsys) == page["numbers"]
    assert {"drift_0", "drift_1", "drift_2"} < page["numbers"].keys()


def test_a_script_makes_cells_at_the_condition(published, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    effect = Conditions(("compliance",), [1e-4], [[5e-5, 5e-4]], ("log",), [[0.0, 0.0, -500.0, 0]])
    save_model(published.replace(conditions=effect), "mine.json")
    model = sf.load_model("mine.json").at(compliance=6e-5)
    page = page_of(model, "mine.json")
    assert "load_model('mine.json').at(compliance=6e-05)" in page["script"]
    assert page["numbers"]["currents"][0] == pytest.approx(-6e-5)
    assert printed(page["script"], tmp_path, capsys) == page["numbers"]


def test_a_script_reads_the_loops(published, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(write_loops.__globals__, "MEASURED_CELLS", 6)
    monkeypatch.setitem(write_loops.__globals__, "MEASURED_LOOPS", 12)
    write_loops(published, tmp_path / "mine.csv")
    page = page_of(published, None, measure("mine.csv", "mine.csv", "mine.csv", None))
    assert printed(page["script"], tmp_path, capsys) == page["numbers"]
    assert len(page["numbers"]["measured_r_hrs"]) == 3


def test_a_script_reads_a_table_of_features_with_its_columns(
    published, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    rows = np.array([[1e5, -0.7, 5e3, 0.7], [1.1e5, -0.8, 5.1e3, 0.8], [9e4, -0.6, 4.9e3, 0.75]])
    text = "a,b,c,d\n" + "\n".join(",".join(map(str, row)) for row in rows)
    (tmp_path / "it's.csv").write_text(text)
    columns = ["r_hrs", "u_set", "r_lrs", "u_reset"]
    data = (tmp_path / "it's.csv").read_bytes()
    page = page_of(published, None, measure_upload(data, "it's.csv", columns))
    assert printed(page["script"], tmp_path, capsys) == page["numbers"]
    assert page["numbers"]["measured_u_set"][1] == -0.7


def test_a_name_of_a_file_cannot_become_code(published, tmp_path):
    name = """x'); import os; os.abort() #".csv"""
    columns = ["r_hrs", "u_set", "r_lrs", "u_reset"]
    text = b"a,b,c,d\n1e5,-0.7,5e3,0.7\n1.1e5,-0.8,5e3,0.7\n"
    page = page_of(published, None, measure_upload(text, name, columns))
    assert repr(name) in page["script"]
    compile(page["script"], "copied.py", "exec")


def test_a_model_without_a_file_is_loaded_from_one_that_the_script_names(published):
    model = published.replace(name="mine", provenance={"by": "hand"})
    assert origin_of(model, None).expression in {
        "sf.load_model('published')", 'sf.load_model("model.json")'
    }  # fmt: skip
    with_traps = model_with_traps()
    assert origin_of(with_traps, None).expression == 'sf.load_model("model.json")'
    with pytest.raises(sf.InvalidValueError, match=r"^source: published holds another model"):
        origin_of(with_traps, "published")
