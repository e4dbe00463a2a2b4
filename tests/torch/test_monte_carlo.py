"""Chips of a Monte Carlo analysis are those that are made one after the other."""

import pytest
import torch

from synfab.torch import convert, monte_carlo, montecarlo, program

SEEDS = (0, 5, 2**40)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(9, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))


def score(chip):
    """Depends on every cell, and on the noise of the first readouts."""
    with torch.no_grad():
        return float(chip(torch.linspace(-1.0, 1.0, 18).reshape(2, 9)).double().pow(2).sum())


@pytest.mark.parametrize("at_once", [1, 300, 2**21], ids=("each", "two", "all"))
@pytest.mark.parametrize("workers", [1, 2])
def test_a_chip_does_not_depend_on_those_made_with_it(network, monkeypatch, at_once, workers):
    monkeypatch.setattr(montecarlo, "CELLS_AT_ONCE", at_once)
    options = {"tile": (4, 5), "exceptions": {"2": {"bits": 5}}}
    table = monte_carlo(network, score, SEEDS, workers=workers, **options)
    assert table["seed"].tolist() == list(SEEDS)
    for (_, row), seed in zip(table.iterrows(), SEEDS, strict=True):
        chip = convert(network, seed=seed, **options)
        alone = program(chip)
        assert row["score"] == score(chip)
        assert row["pulses"] * 156 == pytest.approx((alone["pulses"] * alone["cells"]).sum())
        assert row["energy"] == alone["energy"].sum()
        assert row["outliers"] == alone["outliers"].sum()


def test_chips_are_programmed_together(network, monkeypatch):
    sizes = []
    together = montecarlo.program_networks

    def counted(chips, *arguments):
        sizes.append(len(chips))
        return together(chips, *arguments)

    monkeypatch.setattr(montecarlo, "program_networks", counted)
    monkeypatch.setattr(montecarlo, "CELLS_AT_ONCE", 400)  # of 156 cells each
    monte_carlo(network, score, range(5))
    assert sizes == [2, 2, 1]
