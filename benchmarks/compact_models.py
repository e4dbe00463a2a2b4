"""The cell of synfab in ngspice next to two physical compact models.

Compiles JART VCM v1b and the Stanford-PKU model from their published equations, checks their loops
against published curves (compact-validation.png), and then simulates 1 … 256 varied cells of each
model, of diodes and of resistors: the same pulses, the same longest time step, alternating runs
(compact-speed.png, and the table of docs/circuits.md). Results of this processor are kept in
compact_models.json, as 256 cells (--sizes 256) take long.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.compact import published, validate
from benchmarks.compact.device import build
from benchmarks.compact.jart import JART
from benchmarks.compact.simulator import Run, measure
from benchmarks.compact.stanford import STANFORD
from benchmarks.machine import processor
from synfab.circuit import build_osdi

SIZES = (1, 4, 16, 64)
RESULTS = Path(__file__).with_suffix(".json")
SERIES = 200.0  # ohm, in front of every cell
RAMP = 1e5  # V/s
CORNERS = (0.0, -1.8, 0.0, 1.8, 0.0)  # V: SET, then RESET
MANY, LARGE = 16, 256  # cells from which loads are shown, and are simulated once
LIMIT = 20000.0  # s, of a run
POINTS = 1000  # of the longest time step; models take more
# Lines of cell k between node n and ground; `swapped` cells SET at a positive voltage.
CELLS = {
    "synfab": "N{k} n{k} 0 memory cell={k}",
    "Stanford-PKU": "N{k} 0 n{k} memory cell={k}",
    "JART VCM v1b": "N{k} n{k} 0 memory cell={k}",
    "diodes": "D{k} n{k} 0 memory area={area:.4f}",
    "resistors": "R{k} n{k} 0 {ohm:.1f}",
}
MODELS = {
    "synfab": ".model memory synfab_published seed=1",
    # Between devices 3 % of gamma; 5e4 nm/s is deltaGap0 = 5e-5 of the published dc example.
    "Stanford-PKU": ".model memory stanford_pku spread=0.03 fluctuation=5e4",
    "JART VCM v1b": ".model memory jart_vcm_1b spread=1 step=0.2",
    "diodes": ".model memory d is=1e-9 rs=100",
    "resistors": "",
}
COLOURS = {  # Wong's colours, which colour-blind readers can tell apart
    "synfab": "#0072B2", "Stanford-PKU": "#D55E00", "JART VCM v1b": "#009E73",
    "diodes": "#CC79A7", "resistors": "#7F7F7F",
}  # fmt: skip


def circuit(model: str, count: int, points: int = POINTS) -> str:
    """Return the netlist of ``count`` cells, each behind its resistor, on one source."""
    times = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(CORNERS)))]) / RAMP
    wave = " ".join(f"{t:.9g} {u:.9g}" for t, u in zip(times, CORNERS, strict=True))
    spread = np.random.default_rng(1).lognormal(0.0, 0.2, count)
    lines = ["cells", f"V1 a 0 PWL({wave})", MODELS[model], ".options reltol=1e-4"]
    for k, factor in enumerate(spread):
        lines.append(f"S{k} a n{k} {SERIES:g}".replace("S", "RS", 1))
        lines.append(CELLS[model].format(k=k, area=factor, ohm=1e4 * factor))
    step = times[-1] / points
    lines += [".save v(a) i(v1)", f".tran {step:.6g} {times[-1]:.9g} 0 {step:.6g}"]
    return "\n".join(lines) + "\n"


def switching(run: Run) -> float:
    """Return the ratio of the total currents at -0.2 V after and before the SET."""
    v, i = np.array(run.wave["v(a)"]), np.array(run.wave["i(v1)"])
    turn = int(np.argmin(v))
    end = turn + int(np.argmax(v[turn:] >= 0.0))
    before = np.interp(0.2, -v[:turn], i[:turn])
    after = np.interp(0.2, -v[turn:end][::-1], i[turn:end][::-1])
    return float(after / before)


def compare(
    libraries: dict[str, Path], sizes: Sequence[int], rounds: int, points: int = POINTS
) -> dict[str, dict[str, float]]:
    """Return the run with the median processor time, by "model, number of cells"."""
    result: dict[str, dict[str, float]] = {}
    for count in sizes:
        runs: dict[str, list[Run]] = {model: [] for model in CELLS}
        for _ in range(rounds if count < LARGE else 1):
            for model, found in runs.items():
                run = measure(circuit(model, count, points), libraries.get(model, ()), LIMIT)
                found.append(run)
                print(f"{model}, {count} cells: {run.seconds:.2f} s", file=sys.stderr, flush=True)
        for model, found in runs.items():
            run = sorted(found, key=lambda run: run.seconds)[len(found) // 2]
            result[f"{model}, {count}"] = {
                "seconds": run.seconds,
                "iterations": run.iterations,
                "points": run.points,
                "rejected": run.rejected,
                "load": run.load / run.iterations / count,
                "set": switching(run),
            }
    return result


def split(result: dict[str, dict[str, float]]) -> dict[tuple[str, int], dict[str, float]]:
    """Return results by model and number of cells, smallest first."""
    parts = {key: key.rpartition(", ") for key in result}
    found = {(parts[key][0], int(parts[key][2])): run for key, run in result.items()}
    order = list(CELLS)
    return dict(sorted(found.items(), key=lambda item: (item[0][1], order.index(item[0][0]))))


def table(result: dict[str, dict[str, float]]) -> str:
    """Return the table of the documentation."""
    found = split(result)
    text = "| cells | model | processor time | divided by synfab | iterations "
    text += (
        "| time points (rejected) | load per cell and iteration | current after / before SET |\n"
    )
    text += "|" + "---|" * 8 + "\n"
    for (model, count), run in found.items():
        ours = found.get(("synfab", count), run)
        ratio = run["seconds"] / ours["seconds"]
        switched = "" if model in ("diodes", "resistors") else f"{run['set']:.0f}"
        text += f"| {count} | {model} | {run['seconds']:.2f} s | {ratio:.1f} "
        text += f"| {run['iterations']:,} | {run['points']:,} ({run['rejected']:,}) "
        load = f"{1e9 * run['load']:.0f} ns" if count >= MANY else ""  # else start-up dominates
        text += f"| {load} | {switched} |\n"
    return text


def validation(libraries: dict[str, Path], path: Path | None) -> str:
    """Return how far the devices are from the published curves; draw both into ``path``."""
    loops = validate.stanford_loops(libraries["Stanford-PKU"])
    jart = validate.jart_loop(libraries["JART VCM v1b"])
    reference = published.ntinas_loop()
    text = ""
    for name, ratios in validate.stanford_ratios(loops).items():
        low, high = ratios.min(), ratios.max()
        text += f"Stanford-PKU, {name}: {low:.2f} to {high:.2f} of the published current\n"
    expected = validate.marks(reference)
    for name, value in validate.marks(jart).items():
        text += f"JART VCM v1b, {name}: {value:.4g} (published: {expected[name]:.4g})\n"
    if path is not None:
        draw_validation(loops, jart, reference, path)
    return text


def draw_validation(
    loops: dict[str, validate.Curve], jart: validate.Curve, reference: validate.Curve, path: Path
) -> None:
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
    colour = COLOURS["Stanford-PKU"]
    for name, (v, i) in loops.items():
        sign = 1 if name == "SET" else -1
        left.semilogy(sign * v, np.abs(i), color=colour)
    points = (*published.JIANG_SET, *published.JIANG_RESET, *published.JIANG_RETURN)
    left.semilogy(*zip(*points, strict=True), "k.", markersize=5)
    left.set_title("Stanford-PKU, Jiang et al. 2016, Fig. 6(a)", fontsize=9)
    left.set_ylim(1e-8, 1e-3)
    right.semilogy(jart[0], np.abs(jart[1]), color=COLOURS["JART VCM v1b"])
    pick = np.unique(np.linspace(0, reference[0].size - 1, 90).astype(int))
    right.semilogy(reference[0][pick], np.abs(reference[1][pick]), "k.", markersize=4)
    right.set_title("JART VCM v1b, Ntinas et al. 2023", fontsize=9)
    right.set_ylim(1e-7, 1e-3)
    for axes in (left, right):
        axes.set_xlabel("Voltage (V)")
        axes.set_ylabel("Current (A)")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_speed(result: dict[str, dict[str, float]], path: Path) -> None:
    """Draw processor times and iterations against the number of cells."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
    for model, colour in COLOURS.items():
        runs = {count: run for (name, count), run in split(result).items() if name == model}
        style = {"color": colour, "marker": "o", "markersize": 4}
        left.loglog(list(runs), [run["seconds"] for run in runs.values()], label=model, **style)
        right.loglog(list(runs), [run["iterations"] for run in runs.values()], **style)
    for axes, name in ((left, "Processor time (s)"), (right, "Newton iterations")):
        axes.set_xscale("log", base=2)
        axes.set_xlabel("Number of varied cells")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3, which="both")
    figure.suptitle(processor(), fontsize=9)
    figure.legend(loc="outside lower center", ncols=5, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def build_all(folder: Path) -> dict[str, Path]:
    """Compile the three devices in a folder."""
    return {
        "synfab": build_osdi("published", folder / "synfab.osdi"),
        "Stanford-PKU": build(STANFORD, folder),
        "JART VCM v1b": build(JART, folder),
    }


def remember(path: Path, result: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return all results of this processor, after adding new ones to the file."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if known.get("processor") != processor():
        known = {"processor": processor(), "runs": {}}
    known["runs"] |= result
    path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    runs: dict[str, dict[str, float]] = known["runs"]
    return runs


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, metavar="CELLS")
    parser.add_argument("--points", type=int, default=POINTS, help="time points at least")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON file to complete")
    parser.add_argument("--no-figures", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        libraries = build_all(Path(name))
        draws = not given.no_figures
        print(validation(libraries, Path("compact-validation.png") if draws else None))
        result = compare(libraries, given.sizes, given.rounds, given.points)
    result = remember(given.results, result)
    if draws:
        draw_speed(result, Path("compact-speed.png"))
    print(f"{processor()}; median of {given.rounds} alternating runs\n\n{table(result)}", end="")


if __name__ == "__main__":
    main(sys.argv[1:])
