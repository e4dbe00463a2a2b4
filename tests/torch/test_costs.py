"""Energy, time and area of an inference, and the cells that a layer needs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import synfab as sf
from synfab.torch import (
    CrossbarLinear,
    PeripheralCosts,
    conversion_report,
    convert,
    inference_costs,
)

FREE = PeripheralCosts(
    dac_energy=0.0, adc_energy=0.0, shift_add_energy=0.0, dac_area=0.0, adc_area=0.0, adc_time=0.0,
    shift_add_area=0.0, read_time=2e-8, cell_area=1e-12,
)  # fmt: skip
MAPPINGS = [
    {}, {"mapping": "offset"}, {"bits": 2, "slices": 3}, {"linear": True},
    {"input_bits": 5, "dac": 2}, {"mapping": "offset", "bits": 2, "slices": 2, "tile": (8, 5)},
]  # fmt: skip


@pytest.mark.parametrize("options", MAPPINGS)
def test_the_energy_of_cells_is_voltage_times_current_times_time(options):
    layer = CrossbarLinear(12, 7, seed=1, input_range=1.0, **options)
    x = torch.linspace(-1.0, 1.0, 36).reshape(3, 12)
    volts = [0.2 * x.double().numpy()]
    if "input_bits" in options:
        whole = np.rint(np.abs(x.numpy()) * 31)
        digits = [(whole.astype(int) >> shift) & 3 for shift in (4, 2, 0)]
        volts = [np.sign(x.numpy()) * 0.2 * digit / 3.0 for digit in digits]
    wanted, conduction = 0.0, layer.options.model.conduction
    for v in volts:
        for tile in layer.tiles.tiles:
            r, u = np.asarray(tile.cells.r, np.float64), v[:, None, tile.inputs]
            i = conduction.conductance(r) * u if layer.options.linear else conduction.current(r, u)
            wanted += 2e-8 * float((u * i).sum()) / 3
    table = inference_costs(layer, x, costs=FREE)
    assert table.cell_energy["total"] == pytest.approx(wanted, rel=1e-5)
    assert table.energy["total"] == table.cell_energy["total"]
    area = sum(cells.size for cells in layer.tiles.cells) * 1e-12
    assert table.area["total"] == pytest.approx(area)
    assert table.latency["total"] == pytest.approx(len(volts) * 2e-8)


def test_converters_are_counted_tile_by_tile():
    chip = convert(
        nn.Sequential(nn.Conv2d(2, 5, 3), nn.Flatten(), nn.Linear(45, 4)), seed=1,
        tile=(6, 10), bits=3, dac=1, input_bits=4, adc=6,
    )  # fmt: skip
    table = inference_costs(chip, torch.rand(3, 2, 5, 5))
    assert table.vectors.tolist() == [9.0, 1.0, 10.0]
    assert table.reads.tolist() == [36.0, 4.0, 40.0]
    # Conv2d: 5 lines in 2 blocks of columns; Linear: 4 lines in 5 blocks
    assert table.conversions.tolist() == [36.0 * 10, 4.0 * 20, 360.0 + 80.0]
    assert table.adc_energy["0"] == pytest.approx(360 * 1.67e-12 / 1.2**2)
    # 2 rows of tiles, 18 columns each
    assert table.dac_energy["0"] == pytest.approx(36 * 36 * 0.417e-12)
    # 3 lines of a tile share a converter
    assert table.latency["0"] == pytest.approx(36 * (1e-8 + 3 / 1.2e9))
    parts = table[["cell_energy", "dac_energy", "adc_energy", "digital_energy"]].sum(axis=1)
    np.testing.assert_allclose(parts, table.energy)
    np.testing.assert_allclose(table.iloc[:-1].sum(), table.loc["total"])


def test_costs_are_means_per_sample_and_leave_the_chip_as_it_was():
    chip = convert(nn.Sequential(nn.Linear(6, 4)), seed=1, adc=8)
    twin = convert(nn.Sequential(nn.Linear(6, 4)), seed=1, adc=8)
    twin.load_state_dict(chip.state_dict())
    x = torch.rand(8, 6)
    whole = inference_costs(chip, x)
    np.testing.assert_allclose(inference_costs(chip, x.split(3)), whole, rtol=1e-6)
    assert torch.equal(chip(x), twin(x))
    assert chip[0].recorder is None


def test_costs_of_the_user_replace_the_defaults():
    layer = CrossbarLinear(6, 4, seed=1, adc=8)
    x = torch.rand(2, 6)
    other = replace(PeripheralCosts(), adc_energy=5e-12, adc_growth=1.0)
    found = [inference_costs(layer, x, costs=costs).adc_energy["layer"] for costs in (None, other)]
    assert found == pytest.approx([4 * 1.67e-12, 4 * 5e-12])


def test_recurrent_layers_are_counted_at_each_step():
    chip = convert(nn.GRU(3, 5, batch_first=True), seed=1)
    table = inference_costs(chip, torch.rand(2, 7, 3))
    assert table.vectors.tolist() == [7.0, 7.0, 14.0]


def test_wrong_arguments_are_one_clear_line():
    layer = CrossbarLinear(6, 4, seed=1)
    with pytest.raises(sf.InvalidValueError, match="network: expected layers on cells"):
        inference_costs(nn.Linear(2, 2), torch.rand(1, 2))
    with pytest.raises(sf.InvalidTypeError, match="costs: expected a PeripheralCosts"):
        inference_costs(layer, torch.rand(1, 6), costs={"read_time": 1.0})
    with pytest.raises(sf.InvalidValueError, match="batches: expected a sample or more"):
        inference_costs(layer, [])
    with pytest.raises(sf.InvalidValueError, match="adc_energy: expected"):
        PeripheralCosts(adc_energy=-1.0)


def test_the_report_counts_rows_columns_and_cells_per_weight():
    network = nn.Sequential(nn.Linear(20, 13), nn.Linear(13, 2))
    options = {"mapping": "offset", "bits": 2, "slices": 3, "tile": (16, 8)}
    chip = convert(network, seed=1, exceptions={"1": None}, **options)
    table = conversion_report(chip)
    # 4 outputs and a reference of 3 slices are 15 rows of 16: three such tiles, then one of 2 x 3
    assert table.rows.tolist() == [3 * 16 + 6, 0]
    assert table["columns"].tolist() == [20, 0]
    assert table.tiles.tolist() == [4 * 3, 0]
    assert table.cells["0"] == sum(cells.size for cells in chip[0].tiles.cells) == 54 * 20
    assert table.cells_per_weight.tolist() == pytest.approx([54 / 13, 0.0])


def test_empty_batches_cost_nothing():
    chip = convert(nn.Linear(8, 3), seed=1, dac=1, input_bits=4, adc=8)
    x = torch.rand(4, 8)
    pd.testing.assert_frame_equal(
        inference_costs(chip, [x, torch.ones(0, 8)]), inference_costs(chip, x)
    )
    with pytest.raises(sf.InvalidValueError, match="batches: expected a sample or more"):
        inference_costs(chip, torch.ones(0, 8))
