"""The explorer of a model whose cells change with time."""

import re
import subprocess
import sys
import time

import numpy as np
import pytest
from browser import chromium
from trap_models import model_with_traps

import synfab as sf
from synfab.explore.experiment import age, read_crossbar, settings
from synfab.model import save_model

pytest.importorskip("panel")

CONTROLS = {
    "u_min": -1.5, "u_max": 1.5, "cycles": 8, "cells": 16, "order": 10, "seed": 0, "rows": 8,
    "wire_resistance": 1.0,
}  # fmt: skip


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
    now = read_crossbar(model, 8, 10, 1, 1.5, 0.0)
    later = read_crossbar(model, 8, 10, 1, 1.5, 0.0, (1e6, 350.0))
    assert (later.conductance != now.conductance).any()
    cells = sf.CellArray(model, (8, 8), seed=1).apply_voltage(-2.0)
    cells.apply_voltage(1.5, where=np.indices((8, 8)).sum(axis=0) % 2 == 1).wait(1e6, 350.0)
    np.testing.assert_array_equal(later.conductance, cells.conductance(0.2))


def test_time_has_controls_only_in_models_with_traps(published):
    assert settings(published, CONTROLS).seconds == 0.0
    now = settings(model_with_traps(), {**CONTROLS, "log_time": 3.0, "temperature": 1e4})
    assert (now.seconds, now.temperature) == (1000.0, 500.0)
    with pytest.raises(sf.SynfabError, match="log_time"):
        settings(model_with_traps(), CONTROLS)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer")
    save_model(model_with_traps(), folder / "model.json")
    code = "from synfab.cli.app import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "explore", str(folder / "model.json"), "--no-show"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        address = re.match(r"(http://127\.0\.0\.1:\d+/)", server.stdout.readline()).group(1)
        with chromium(folder / "profile") as browser:
            browser.open(address)
            browser.wait("return document.documentElement.dataset.ready === 'all'")
            yield browser
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()


HIGHS = """
for (const root of Bokeh.documents[0].all_models)
  if (root.type === 'ColumnDataSource' && root.data.high?.length) return [...root.data.high];
"""


def test_the_figure_over_time_follows_the_temperature(page):
    before = page.run(HIGHS)
    page.run(
        "for (const m of Bokeh.documents[0].all_models) if (m.title === 'temperature (K)') "
        "{ m.value = 450; m.value_throttled = 450; }"
    )
    for _ in range(400):
        after = page.run(HIGHS)
        if after != before:
            break
        time.sleep(0.05)
    assert after[0] > before[0]
    assert page.complaints() == []
    assert page.accessibility() == []
