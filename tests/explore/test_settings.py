"""Settings of the explorer as texts: of an address, of a request, of a control."""

import pytest
from trap_models import model_with_traps

import synfab as sf
from synfab.explore.settings import controls, lenient_settings, settings


@pytest.fixture(scope="module")
def known():
    return controls(sf.load_model())


def test_without_texts_all_settings_have_their_defaults(known):
    now = settings(known, {})
    assert (now.u_min, now.u_max, now.cycles, now.cells, now.order) == (-1.5, 1.5, 8, 16, 10)
    assert (now.rows, now.wire_resistance, now.read_voltage) == (32, 1.0, 0.2)
    assert all(getattr(now, name) == control.default for name, control in known.items())


def test_settings_are_what_the_texts_state(known):
    texts = {"u_min": "-1.25", "cells": "100", "order": "3", "wire_resistance": "2.5",
             "scale": "log", "measurement": "0123456789ab"}  # fmt: skip
    now = settings(known, texts)
    assert (now.u_min, now.cells, now.order) == (-1.25, 100, 3)
    assert (now.wire_resistance, now.scale) == (2.5, "log")
    assert now.measurement == "0123456789ab"


def test_the_limits_themselves_are_allowed(known):
    for control in known.values():
        for limit in () if control.options else (control.minimum, control.maximum):
            now = settings(known, {control.name: f"{limit:.10g}"})
            assert getattr(now, control.name) == limit


BAD = ["", "nan", "inf", "1e999", "five", "0x10", "1_0", "١", "5" * 50, "<script>", "1\n", "--1"]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_number_is_refused_in_one_line(known, text):
    for name, control in known.items():
        with pytest.raises(sf.InvalidValueError, match=f"^{name}: expected ") as caught:
            settings(known, {name: text})
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 200
        assert control.name == name


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("cells", "1001", "1 … 1000"),
        ("cells", "0", "1 … 1000"),
        ("cells", "2.5", "a whole number, 1 … 1000"),
        ("cycles", "1e6", "1 … 100"),
        ("u_max", "-0.1", "0 … 1.75"),
        ("u_min", "-50", "-1.8 … 0"),
        ("order", "11", "one of 1, 2, 3"),
        ("wire_resistance", "1e-9", "one of 0, 0.1, 0.5"),
        ("scale", "cubic", "one of linear, log"),
        ("measurement", "../../etc", "12 hexadecimal digits"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(known, name, text, expected):
    with pytest.raises(sf.InvalidValueError) as caught:
        settings(known, {name: text})
    assert str(caught.value).startswith(f"{name}: expected {expected}")


def test_an_unknown_name_is_refused(known):
    with pytest.raises(sf.InvalidValueError, match=r"^'colours': no such setting; expected u_min"):
        settings(known, {"colours": "1"})
    with pytest.raises(sf.InvalidValueError, match=r"^'temperature': no such setting"):
        settings(known, {"temperature": "300"})  # of models with traps only


def test_an_address_keeps_its_good_values(known):
    now, problems = lenient_settings(known, {"cells": "7", "cycles": "x", "what": "1"})
    assert (now.cells, now.cycles) == (7, 8)
    assert [problem.split(":")[0] for problem in problems] == ["cycles", "'what'"]


def test_time_has_settings_only_in_models_with_traps(known):
    assert settings(known, {}).seconds == 0.0
    now = settings(controls(model_with_traps()), {"log_time": "3", "temperature": "350"})
    assert (now.seconds, now.temperature) == (1000.0, 350.0)
