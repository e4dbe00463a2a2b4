"""Figures of waveforms have a panel for each unit that was recorded."""

import numpy as np

from synfab.circuit import Waveforms
from synfab.figures.circuit import waveforms

TIMES = np.linspace(0.0, 1.0, 5)


def result(**vectors):
    units = {"time": "s"} | {name: name[0].upper().replace("I", "A") for name in vectors}
    return Waveforms("Transient Analysis", {"time": TIMES} | vectors, units)


def labels(figure):
    return [axis.get_ylabel() for axis in figure.axes if axis.get_visible()]


def test_units_without_a_vector_have_no_panel():
    figure = waveforms([result(i1=TIMES, i2=TIMES)])
    assert labels(figure) == ["current (A)"]
    assert figure.axes[0].get_xlabel() == "time (s)"
    assert figure.axes[0].get_title(loc="left") == "Transient Analysis"


def test_each_analysis_has_the_panels_of_its_own_units():
    figure = waveforms([result(v1=TIMES), result(v1=TIMES, i1=TIMES)])
    assert labels(figure) == ["voltage (V)", "voltage (V)", "current (A)"]
    assert len(figure.axes) == 4
