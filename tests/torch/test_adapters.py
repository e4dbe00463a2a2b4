"""Virtual cells in aihwkit and CrossSim: with the hosts where they are installed, and without.

``make adapters`` installs aihwkit into a folder of its own. CrossSim has no package on the package
index; its tests run where the module ``simulator`` can be imported.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import synfab as sf
from synfab.torch.adapters.aihwkit import noise_model
from synfab.torch.adapters.crosssim import make_device

HOSTS = Path(__file__).parents[2] / ".cache" / "adapters"


class BaseNoiseModel:
    """aihwkit's signature (inference/noise/base.py)."""

    def __init__(self, g_converter=None):
        self.g_converter = g_converter

    def generate_drift_coefficients(self, g_target):
        return None


def test_aihwkit_conductances_are_those_of_cells():
    noise = noise_model(seed=3, method="open-loop", base=BaseNoiseModel)
    target = torch.linspace(25.0, 170.0, 200).reshape(20, 10)
    programmed = noise.apply_programming_noise_to_conductance(target)
    assert programmed.shape == target.shape
    assert programmed.dtype == target.dtype
    assert 2.0 < (programmed - target).std() < 40.0  # uS
    assert not torch.equal(programmed, noise.apply_programming_noise_to_conductance(target))
    later = noise.apply_drift_noise_to_conductance(programmed, None, 3600.0)
    assert 0.0 < (later - programmed).std() < 1.0
    careful = noise_model(seed=3, base=BaseNoiseModel)
    close = careful.apply_programming_noise_to_conductance(target)
    assert (close - target).abs().median() < 2.7


@pytest.fixture
def aihwkit(monkeypatch):
    if HOSTS.is_dir():
        monkeypatch.syspath_prepend(HOSTS)
    return pytest.importorskip("aihwkit", reason="aihwkit is not installed: make adapters")


@pytest.mark.usefixtures("aihwkit")
def test_a_network_of_aihwkit_is_programmed_into_cells():
    from aihwkit.inference import BaseNoiseModel as Base
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))
    x = torch.rand(50, 20)

    def relative_errors(method):
        """Return the errors of the outputs after programming, and with the noise of a read."""
        noise = noise_model(seed=3, method=method)
        assert isinstance(noise, Base)
        options = TorchInferenceRPUConfig(noise_model=noise, drift_compensation=None)
        options.forward.is_perfect = True
        analog = convert_to_analog(network, options).eval()
        with torch.no_grad():
            wanted = network(x)
            torch.testing.assert_close(analog(x), wanted)
            analog.program_analog_weights()
            programmed = analog(x)
            analog.drift_analog_weights(3600.0)
            read = analog(x)
        assert not torch.equal(programmed, read)
        return [float((y - wanted).std() / wanted.std()) for y in (programmed, read)]

    assert all(0.001 < error < 0.05 for error in relative_errors("write-verify"))
    assert all(0.02 < error < 0.5 for error in relative_errors("open-loop"))


class EmptyDevice:
    """CrossSim's signature (devices/idevice.py)."""

    def __init__(self, device_params, weight_error_params):
        self.device_params = device_params


class DeviceParameters:
    Rmin, Rmax = 1 / 1.7e-4, 1 / 2.1e-5


def test_crosssim_conductances_are_those_of_cells():
    kind = make_device(seed=3, base=EmptyDevice)
    assert kind.__name__ == "SynfabDevice"
    device = kind(DeviceParameters(), None)
    target = np.linspace(DeviceParameters.Rmin / DeviceParameters.Rmax, 1.0, 200).reshape(20, 10)
    programmed = device.programming_error(target.copy())
    assert programmed.shape == target.shape
    assert 0.0 < np.median(np.abs(programmed - target)) < 2.7e-6 * DeviceParameters.Rmin
    read = device.read_noise(programmed)
    assert 0.0 < (read - programmed).std() < 0.01
    assert device.drift_error(target, 1.0).shape == target.shape


def test_crosssim_itself():
    simulator = pytest.importorskip("simulator", reason="CrossSim is not installed")
    kind = make_device(seed=3, name="SynfabTestDevice", method="open-loop")
    parameters = simulator.CrossSimParameters()
    device = parameters.xbar.device
    device.Rmin, device.Rmax = DeviceParameters.Rmin, DeviceParameters.Rmax
    for error in (device.programming_error, device.read_noise):
        error.enable, error.model = True, kind.__name__
    matrix = np.linspace(-1.0, 1.0, 200).reshape(10, 20)
    core = simulator.AnalogCore(matrix, params=parameters)
    x = np.linspace(0.1, 1.0, 20)
    got = core @ x
    assert 0.0 < np.abs(got - matrix @ x).max() < 2.0


@pytest.mark.parametrize(("host", "make"), [("aihwkit", noise_model), ("simulator", make_device)])
def test_a_missing_simulator_is_named(host, make, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == host]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, host, None)  # importing it raises ImportError
    with pytest.raises(sf.SynfabError, match="not installed"):
        make(seed=1)
