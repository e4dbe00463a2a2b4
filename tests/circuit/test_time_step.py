"""The state after a RESET does not depend on the time steps of the simulator."""

import numpy as np
import pytest
from verilog_a import EVAS, finish, instrumented, start

from synfab.circuit import build_osdi, run_ngspice, to_veriloga

COUNT = 24
STATE = ("r", "cycle", "phase")
TRIANGLE = "0 0 4m -1.8 8m 0 12m {u} 16m 0 17m 0.2 20m 0.2"
FLAT_TOP = "0 0 3m -1.5 5m -1.5 8m 0 11m {u} 13m {u} 16m 0 17m 0.2 20m 0.2"
# Cells near the voltage at which a RESET behind 5 kilo-ohm runs away, and their peaks in V.
RUNAWAY = {c: 1.4 + 0.08 * c for c in range(6)}


@pytest.fixture(scope="module")
def device(ngspice, tmp_path_factory):
    return build_osdi("published", tmp_path_factory.mktemp("device") / "cell.osdi")


def branches(sources, ohm, extra=""):
    """A cell behind a resistor for each source (cell number: text); ``extra`` at its node."""
    lines = ["cells behind resistors"]
    for c, source in sources.items():
        lines += [f"V{c} s{c} 0 {source}", f"R{c} s{c} a{c} {ohm}", f"N{c} a{c} 0 mem cell={c}"]
        lines += [extra.format(c=c)] if extra else []
        lines += [f".save i(V{c})", *(f".save @n{c}[{name}]" for name in STATE)]
    return [*lines, ".model mem synfab_published seed=7"]


def states(lines, step, stop, device):
    text = "\n".join([*lines, f".tran {step} {stop} 0 {step}"]) + "\n"
    (wave,) = run_ngspice(text, osdi=device)
    names = [name for name in wave if name.endswith(f"[{STATE[0]}]")]
    found = {s: np.array([wave[n.replace("[r]", f"[{s}]")][-1] for n in names]) for s in STATE}
    return wave, found


@pytest.mark.parametrize("pulse", [TRIANGLE, FLAT_TOP], ids=("triangle", "flat top"))
def test_the_read_after_a_partial_reset_is_the_same_for_every_step(device, pulse):
    lines = branches({c: f"PWL({pulse.format(u=u)})" for c, u in RUNAWAY.items()}, 5000)
    reads = []
    for step in ("10u", "100u", "400u"):
        wave, _ = states(lines, step, "20m", device)
        reads.append([-1e6 * wave[f"i(v{c})"][-1] for c in RUNAWAY])
    np.testing.assert_allclose(reads[1:], reads[:1] * 2, rtol=0.0, atol=0.01)  # uA
    assert reads[0][1] == pytest.approx(6.76, abs=0.01)  # as with steps of 1 us


@pytest.mark.parametrize("ohm", [1, 500, 2000, 5000, 20000])
def test_triangles_of_any_height_behind_any_resistor(device, ohm):
    peaks = np.random.default_rng(5).uniform(0.5, 2.2, COUNT)
    lines = branches({c: f"PWL({TRIANGLE.format(u=u)})" for c, u in enumerate(peaks)}, ohm)
    _, fine = states(lines, "20u", "20m", device)
    _, coarse = states(lines, "400u", "20m", device)
    for name in STATE:
        np.testing.assert_allclose(coarse[name], fine[name], rtol=0.0, atol=1e-6)
    assert (fine["cycle"] > 0).any() == (ohm < 20000)


def test_a_sine_differs_by_the_sampling_of_its_peak_alone(device):
    peaks = np.random.default_rng(5).uniform(0.5, 2.2, COUNT)
    lines = branches(dict.fromkeys(range(COUNT), "PWL(0 0 4m -1.8 8m 0)"), 2000)
    lines = [line.replace(" s", " t", 1) if line.startswith("R") else line for line in lines]
    lines += [f"Vs{c} t{c} s{c} sin(0 {u} 100 9m)" for c, u in enumerate(peaks)]
    _, fine = states(lines, "5u", "13.9m", device)
    _, coarse = states(lines, "50u", "13.9m", device)
    np.testing.assert_array_equal(coarse["cycle"], fine["cycle"])
    np.testing.assert_allclose(coarse["r"], fine["r"], rtol=0.0, atol=1e-3)


def test_a_netlist_can_have_every_step_accepted(device):
    lines = branches({c: f"PWL({TRIANGLE.format(u=u)})" for c, u in RUNAWAY.items()}, 5000)
    wave, _ = states(lines, "400u", "20m", device)
    free, _ = states([*lines[:-1], f"{lines[-1]} event_tolerance=0"], "400u", "20m", device)
    assert len(free["time"]) < 100 < len(wave["time"])


@pytest.mark.skipif(not EVAS.is_file(), reason="evas-sim is not installed")
def test_a_module_bounds_the_voltage_change_of_a_step_during_a_reset(tmp_path):
    text = instrumented(to_veriloga("published"), ["threshold"])
    wave = "0 0 100u -2 200u 0 300u 1.1 400u 0"
    process = start(
        tmp_path / "run",
        text,
        "synfab_published",
        [{"seed": 5.0}],
        ["threshold"],
        wave,
        "400u",
        "20u",
    )
    table = finish(process, tmp_path / "run")
    voltage, threshold = table["c"].to_numpy(), table["o0_0"].to_numpy()
    during = (np.diff(threshold) > 0.0) & (threshold[:-1] > 0.0)
    moved = np.abs(np.diff(voltage))[during]
    assert during.sum() > 100
    # The step in which the RESET begins is bounded by the crossing of the threshold instead.
    assert np.sort(moved)[-3] < 1.5e-3
