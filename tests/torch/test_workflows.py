"""Accuracies on the digits that the documentation states."""

import subprocess
import sys

import pytest
import torch

from synfab.torch import (
    PulsedSGD,
    bake,
    convert,
    hardware_aware,
    measure_errors,
    monte_carlo,
    tasks,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def task():
    return tasks.digits()


@pytest.fixture(scope="module")
def software(task):
    network = tasks.perceptron(task)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
    tasks.fit(network, optimizer, task, 60)
    return network


def test_software_reaches_97_percent(software, task):
    assert tasks.accuracy(software, task) >= 0.97


def test_written_and_verified_chips_are_within_two_points(software, task):
    table = monte_carlo(software, lambda chip: tasks.accuracy(chip, task), range(20))
    assert table["score"].median() >= tasks.accuracy(software, task) - 0.02


def test_in_situ_training_reaches_90_percent(task):
    chip = convert(tasks.perceptron(task), seed=3, weight_range=1.0)
    optimizer = PulsedSGD(chip, lr=0.1)
    tasks.fit(chip, optimizer, task, 20)
    assert tasks.accuracy(chip, task) >= 0.9


def test_hardware_aware_training_recovers_half_of_the_loss(software, task):
    coarse = {"bits": 4, "wire_resistance": 5.0}
    errors = measure_errors("published", "open-loop", seed=1000)
    aware = hardware_aware(software, seed=1, errors=errors, clip=3.0, **coarse)
    tasks.fit(aware, torch.optim.Adam(aware.parameters(), lr=2e-3), task, 6, batch=64)
    before, after = (
        monte_carlo(
            network, lambda chip: tasks.accuracy(chip, task), range(10), method="open-loop",
            linear=True, **coarse,
        )["score"].median()
        for network in (software, bake(aware))
    )  # fmt: skip
    top = tasks.accuracy(software, task)
    assert top - after <= 0.5 * (top - before)


def test_without_torch_one_line_says_what_to_install():
    code = "import sys; sys.modules['torch'] = None\nimport synfab\nsynfab.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith('pip install "synfab[torch]"')
