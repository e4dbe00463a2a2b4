"""Running the Verilog-A module in evas-sim, with what is inside it brought out as voltages."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

EVAS = Path(sys.executable).with_name("evas")
CURRENT = "        I(a, b) <+ cell_current(r, V(a, b));\n"
COMMIT = "        // Simulators try"
NOISE = "        // Johnson"


def instrumented(text, outputs):
    """Module with a port o0, o1, … for each expression of ``outputs``."""
    ports = ", ".join(f"o{k}" for k in range(len(outputs)))
    old = "(a, b);\n    inout a, b;\n    electrical a, b;"
    assert old in text
    assert CURRENT in text
    new = f"(a, b, {ports});\n    inout a, b, {ports};\n    electrical a, b, {ports};"
    shown = "".join(f"        V(o{k}) <+ {output};\n" for k, output in enumerate(outputs))
    return text.replace(old, new).replace(CURRENT, CURRENT + shown)


def restarted(text, period):
    """Module that draws its start every ``period``, each time as the cell of the next number.

    Everything else that happens in time is removed. The simulator takes much longer to translate
    an instance than to run it, so a few instances that are restarted replace thousands.
    """
    head, _, rest = text.partition(COMMIT)
    _, _, rest = rest.partition(CURRENT)
    shown, _, _ = rest.partition(NOISE)
    once, identity = "    analog initial begin\n", "        number_1 = "
    often = f"    integer restarts;\n    analog begin\n        @(timer(0.0, {period})) begin\n"
    following = "        number_0 = number_0 + restarts;\n        restarts = restarts + 1;\n"
    assert once in head
    assert head.count(identity) == 1
    head = head.replace(once, often).replace(identity, following + identity)
    head = head.replace("    end\n\n    analog begin\n", "    end\n")
    return head + CURRENT + shown + "    end\nendmodule\n"


def identity(seed, number):
    """Parameters of the instance that is cell ``number`` of ``seed``."""
    words = {"seed": seed % 2**32, "seed_high": seed >> 32}
    return {**words, "number": number % 2**32, "number_high": number >> 32}


def pulse_train(levels, cycles, period=100):
    """PWL of pulses with flat tops, in ns, and the times at the end of each top."""
    corners, tops = ["0 0"], []
    for n, u in enumerate(list(levels) * cycles):
        t = n * period
        corners += [f"{t + 10}n 0", f"{t + 30}n {u}", f"{t + 80}n {u}", f"{t + 95}n 0"]
        tops.append((t + 79) * 1e-9)
    return " ".join(corners), tops


def start(folder, text, device, instances, outputs, wave, stop, step):
    """Start a simulation of instances with the given parameters; ``finish`` waits for it."""
    folder.mkdir()
    (folder / "cell.va").write_text(text)
    numbers = range(len(outputs))
    ports = [[f"o{i}_{k}" for k in numbers] for i in range(len(instances))]
    bench = ["simulator lang=spectre", "global 0", 'ahdl_include "cell.va"']
    bench.append(f"V1 (c 0) vsource type=pwl wave=[{wave}]")
    for i, parameters in enumerate(instances):
        given = " ".join(f"{name}={x:.17g}" for name, x in parameters.items())
        bench.append(f"X{i} (c 0 {' '.join(ports[i])}) {device} {given}")
    bench.append(f"run tran stop={stop} maxstep={step}")
    bench.append("save c:10e " + " ".join(f"{port}:10e" for each in ports for port in each))
    (folder / "bench.scs").write_text("\n".join(bench) + "\n")
    return simulate(folder)


def simulate(folder):
    """Start evas-sim on the test bench of a folder."""
    return subprocess.Popen(
        [EVAS, "simulate", "bench.scs", "-o", "out"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process, folder):
    """Waveforms by name, ``o3_1`` for output 1 of instance 3."""
    said, _ = process.communicate()
    assert "completes with 0 errors" in said, said[-1000:]
    return pd.read_csv(folder / "out" / "tran.csv")


def evaluate(folder, text, device, instances, outputs):
    """Outputs of instances that do not change with time, one row per instance."""
    process = start(folder, text, device, instances, range(outputs), "0 0 1n 0", "1n", "1n")
    last = finish(process, folder).iloc[-1]
    rows = range(len(instances))
    return np.array([[last[f"o{i}_{k}"] for k in range(outputs)] for i in rows])
