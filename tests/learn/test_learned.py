"""How a model was learned, in sentences."""

import pytest

from synfab.learn.learned import learned_sentences

MEMORY = {
    "order": 6, "order_note": "", "white_order": 6, "long_memory": [],
    "residual_autocorrelation": 0.05, "residual_autocorrelation_bound": 0.1,
}  # fmt: skip


def sentence(start, **facts):
    (found,) = [text for text in learned_sentences(facts) if text.startswith(start)]
    return found


def test_nothing_is_said_about_parts_that_are_missing():
    assert learned_sentences({}) == []


def test_data_that_were_left_out_are_counted():
    texts = learned_sentences({
        "devices": 32, "cycles": 1920, "devices_left_out": ["D7"],
        "rejected_cycles": {"no SET": 3}, "constant_features": ["u_set"],
    })  # fmt: skip
    assert texts == [
        "The model is fitted to 1,920 cycles of 32 devices.",
        "3 cycles could not be evaluated.",
        "1 device with too few complete cycles was left out.",
        "U_SET does not vary.",
    ]


def test_an_order_that_explains_the_memory_states_what_remains():
    assert sentence("A cycle", **MEMORY) == (
        "A cycle depends on the 6 cycles before it (order 6); what remains is uncorrelated from "
        "cycle to cycle: residual autocorrelations are at most 0.05 (white noise: 0.1)."
    )


def test_slow_levels_are_part_of_the_memory():
    text = sentence("A cycle", **{**MEMORY, "order": 1, "white_order": 1, "long_memory": [20.0]})
    assert "the cycle before it, and on a slow level with a time constant of 20 cycles" in text


@pytest.mark.parametrize("white", [10, None])
def test_memory_that_is_not_explained_is_a_sentence(white):
    note = "order 6 does not explain all memory of the record"
    texts = learned_sentences({**MEMORY, "white_order": white, "order_note": note})
    assert texts[-1] == "Order 6 does not explain all memory of the record."


def test_features_are_grouped_by_scale():
    scales = {"r_hrs": "log", "u_set": "log, shifted by 0.45", "r_lrs": "log", "u_reset": "linear"}
    assert sentence("Means", scales=scales) == (
        "Means and spreads of the devices: R_HRS and R_LRS on a logarithmic scale; U_SET on a "
        "logarithmic scale shifted by 0.45 V; U_RESET on a linear scale."
    )
