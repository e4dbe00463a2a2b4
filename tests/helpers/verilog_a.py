"""Running the Verilog-A module in evas-sim, with what is inside it brought out as voltages."""

import subprocess
import sys
from pathlib import Path

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
    """Module that draws its start every ``period``, each time from the next seed.

    Everything else that happens in time is removed. The simulator takes much longer to translate
    an instance than to run it, so a few instances that are restarted replace thousands.
    """
    head, _, rest = text.partition(COMMIT)
    _, _, rest = rest.partition(CURRENT)
    shown, _, _ = rest.partition(NOISE)
    once = "    analog initial begin\n        stream = seed;\n"
    often = (
        f"    integer restarts;\n    analog begin\n        @(timer(0.0, {period})) begin\n"
        "        stream = seed + restarts;\n        restarts = restarts + 1;\n"
    )
    assert once in head
    head = head.replace(once, often).replace("    end\n\n    analog begin\n", "    end\n")
    return head + CURRENT + shown + "    end\nendmodule\n"


def start(folder, text, device, seeds, outputs, wave, stop, step):
    """Start a simulation of one instance per seed; ``finish`` waits for it."""
    folder.mkdir()
    (folder / "cell.va").write_text(text)
    numbers = range(len(outputs))
    bench = ["simulator lang=spectre", "global 0", 'ahdl_include "cell.va"']
    bench += [f"V1 (c 0) vsource type=pwl wave=[{wave}]"]
    for i, seed in enumerate(seeds):
        ports = " ".join(f"o{i}_{k}" for k in numbers)
        bench.append(f"X{i} (c 0 {ports}) {device} seed={seed}")
    bench += [f"run tran stop={stop} maxstep={step}"]
    bench += ["save c:10e " + " ".join(f"o{i}_{k}:10e" for i in range(len(seeds)) for k in numbers)]
    (folder / "bench.scs").write_text("\n".join(bench) + "\n")
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
