"""Stages of the explorer: what they compute, and that only what changed is computed."""

import numpy as np
import pytest
from trap_models import model_with_traps

import synfab as sf
from synfab.explore import stages as module
from synfab.explore.settings import controls, settings
from synfab.explore.stages import (
    Program,
    Stages,
    age,
    checkered,
    read,
    read_with_wires,
    sweep,
)


def test_a_sweep_is_that_of_the_same_cells(published):
    loops = sweep(sf.CellArray(published, 20, order=2, seed=11), Program(-1.4, 1.5, 3))
    cells = sf.CellArray(published, 20, order=2, seed=11)
    np.testing.assert_array_equal(loops.features["u_set"][0], cells.features["u_set"])
    for cycle in range(3):
        for point, u in enumerate(loops.voltage):
            expected = cells.apply_voltage(u).current(u)[:16]  # loops of the first devices
            np.testing.assert_array_equal(loops.current[cycle, point], expected)
    assert loops.voltage.min() == -1.4
    assert loops.voltage.max() == 1.5


def test_wires_take_current_from_every_row(published):
    cells = checkered(sf.CellArray(published, (16, 16), seed=1), 1.5)
    ideal = read(cells, 0.2).ideal
    assert (read_with_wires(cells, 0.2, 2.5) < read_with_wires(cells, 0.2, 0.5)).all()
    assert (read_with_wires(cells, 0.2, 0.5) < ideal).all()


def test_every_second_cell_is_reset(published):
    g = read(checkered(sf.CellArray(published, (8, 8), seed=1), 1.5), 0.2).conductance
    second = np.indices((8, 8)).sum(axis=0) % 2 == 1
    assert g[second].max() < 1e-4 < g[~second].min()


def test_bands_widen_with_time_and_heat():
    model = model_with_traps(initial_occupancy=0.5)
    cold, hot = age(model, 1, 300.0), age(model, 1, 400.0)
    for g in cold.bands:
        low, middle, high = cold.bands[g]
        assert (low <= middle).all()
        assert (middle <= high).all()
        assert high[-1] - low[-1] > high[0] - low[0]
        assert np.mean(hot.bands[g][2] - hot.bands[g][0] > high - low) > 0.8


def test_the_crossbar_is_read_after_the_time():
    model = model_with_traps()
    stages, known = Stages(model), controls(model)
    now = stages.readout(settings(known, {"rows": "8", "seed": "1", "log_time": "-3"}))
    later = settings(known, {"rows": "8", "seed": "1", "log_time": "6", "temperature": "350"})
    found = stages.readout(later).conductance
    assert (found != now.conductance).any()
    cells = sf.CellArray(model, (8, 8), seed=1).apply_voltage(-2.0)
    cells.apply_voltage(1.5, where=np.indices((8, 8)).sum(axis=0) % 2 == 1).wait(1e6, 350.0)
    np.testing.assert_array_equal(found, cells.conductance(0.2))


# ---- only what changed ---------------------------------------------------------------------------

ALL = {"fabricate": 2, "sweep": 1, "program": 1, "read": 1, "wires": 1}
IN_TIME = {"wait": 1, "read": 1, "wires": 1}


def look(stages, **texts):
    """Compute all that a page shows, and return how often each stage was computed for it."""
    before = stages.computed.copy()
    now = settings(controls(stages.model), {"cells": "4", "cycles": "2", "rows": "4", **texts})
    stages.loops(now)
    stages.real(now)
    stages.readout(now)
    if stages.model.traps is not None:
        stages.aging(now)
    return dict(stages.computed - before)


@pytest.mark.parametrize(
    ("texts", "computed"),
    [
        ({}, {}),
        ({"colour": "cycle"}, {}),
        ({"scale": "log"}, {}),
        ({"u_min": "-1.3"}, {"sweep": 1}),
        ({"cycles": "3"}, {"sweep": 1}),
        ({"u_max": "1.2"}, {"sweep": 1, "program": 1, "read": 1, "wires": 1}),
        ({"cells": "5"}, {"fabricate": 1, "sweep": 1}),
        ({"rows": "5"}, {"fabricate": 1, "program": 1, "read": 1, "wires": 1}),
        ({"read_voltage": "0.1"}, {"read": 1, "wires": 1}),
        ({"wire_resistance": "5"}, {"wires": 1}),
        ({"wire_resistance": "0"}, {}),
        ({"seed": "1"}, ALL),
        ({"order": "2"}, ALL),
    ],
    ids=str,
)
def test_a_setting_computes_what_depends_on_it(published, texts, computed):
    stages = Stages(published)
    assert look(stages) == ALL
    assert look(stages, **texts) == computed
    assert look(stages) == {}  # the former results are still there


@pytest.mark.parametrize(
    ("texts", "computed"),
    [
        ({"log_time": "2"}, IN_TIME),
        ({"temperature": "350"}, {**IN_TIME, "time": 1}),
        ({"u_min": "-1.3"}, {"sweep": 1}),
        ({"wire_resistance": "5"}, {"wires": 1}),
    ],
    ids=str,
)
def test_time_and_temperature_fabricate_and_program_nothing(monkeypatch, texts, computed):
    monkeypatch.setattr(module, "LEVELS", (0.3,))
    stages = Stages(model_with_traps())
    assert look(stages) == {**ALL, "wait": 1, "time": 1}
    assert look(stages, **texts) == computed


def test_engines_fabricate_only_in_the_stage_that_is_counted(published, monkeypatch):
    engine = type(sf.CellArray(published, 1, seed=0).engine_instance)
    fabricate, calls = engine.fabricate, []

    def counted(self, **options):
        calls.append(self)
        fabricate(self, **options)

    monkeypatch.setattr(engine, "fabricate", counted)
    stages = Stages(published)
    look(stages)
    assert len(calls) == stages.computed["fabricate"] == 2
    for texts in ({"read_voltage": "0.3"}, {"u_max": "1"}, {"cycles": "4"}, {"u_min": "-1"}):
        look(stages, **texts)
    assert len(calls) == 2


def test_results_do_not_depend_on_what_was_computed_before(published):
    used = Stages(published)
    for texts in ({}, {"u_max": "1.2"}, {"u_min": "-1"}, {"read_voltage": "0.3"}):
        look(used, **texts)
    now = settings(controls(published), {"cells": "4", "cycles": "2", "rows": "4"})
    new = Stages(published)
    np.testing.assert_array_equal(used.loops(now).current, new.loops(now).current)
    np.testing.assert_array_equal(used.real(now), new.real(now))


def test_a_bounded_number_of_results_is_kept(published):
    stages = Stages(published)
    for seed in range(module.KEPT + 1):
        look(stages, seed=str(seed))
    assert look(stages, seed=str(module.KEPT)) == {}
    assert look(stages, seed="0") != {}
