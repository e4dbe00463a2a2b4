"""Where the time of a pulse pair goes, and what machine took it."""

import platform
from pathlib import Path

from synfab.cli import bench

# Bytes that the kernels read and write per cell of float32 history for a pulse pair -2 V, +1.5 V.
# SET reads status 4, threshold and u_set 8, device 16, r 4 and history 8, and writes r 4, threshold
# 8 and status 4. RESET also reads and writes r(R_HRS) and steepness, 8. A block of p vectors of 16
# bytes is read and written once in p pairs.
BYTES_PER_PAIR = 2 * (4 + 8 + 16 + 4 + 8 + 4 + 8 + 4) + 2 * 8 + 2 * 16


def processor() -> str:
    """Return name (if known) and architecture of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {platform.machine()}"


def account(result: bench.Results) -> str:
    """Describe how close a pair is to the copy bandwidth, and where its time is spent."""
    bandwidth = result["copy bandwidth"]["bytes_per_s"]
    cells = bench.SIDE * bench.SIDE
    ideal = cells * BYTES_PER_PAIR / bandwidth
    pair = result["-2 V / +1.5 V pair, float32"]["synfab_s"]
    parts = result["parts of a float32 pair"]
    mask = result["write of a random 1 % of the cells"]["synfab_s"]
    lines = [
        (
            f"- A pair with float32 history moves {BYTES_PER_PAIR} bytes per cell. At "
            f"the copy bandwidth this would take {ideal * 1e3:.1f} ms; the pair reaches "
            f"{100 * ideal / pair:.0f} % of the copy bandwidth, or "
            f"{2e-6 * cells / pair:.0f} million updates (pulses on a cell) per second."
        ),
        (
            f"- Within a float32 pair, SET takes {parts['set_s'] * 1e3:.1f} ms, RESET "
            f"{parts['reset_s'] * 1e3:.1f} ms, and drawing the cycles (random words, normal "
            f"numbers, VAR steps: arithmetic with little memory traffic) "
            f"{parts['drawing_s'] * 1e3:.1f} ms."
        ),
        f"- A pulse on 1 % of the cells takes {100 * mask / pair:.1f} % of a full pair.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    print(processor(), account(bench.compare_with_published()), sep="\n\n")


if __name__ == "__main__":
    main()
