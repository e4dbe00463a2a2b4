"""Chart of the speed on each processor on which `make bench` ran: python -m benchmarks.chart"""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

PROCESSORS = Path(__file__).with_name("processors.json")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def chart(processors: dict[str, dict]) -> Figure:
    """Return bars of the ratios of time, published package to this one, for each processor."""
    jobs = list(dict.fromkeys(job for entry in processors.values() for job in entry["ratios"]))
    height = 0.8 / len(processors)
    figure = Figure(
        figsize=(7, 1.2 + 0.17 * len(jobs) * (1 + len(processors))), layout="constrained"
    )
    axis = figure.subplots()
    for number, (name, entry) in enumerate(processors.items()):
        ratios = [entry["ratios"].get(job, np.nan) for job in jobs]
        places = np.arange(len(jobs)) + (number + 0.5) * height - 0.4
        bars = axis.barh(places, ratios, height, label=name, color=COLOURS[number % len(COLOURS)])
        axis.bar_label(bars, fmt="{:.1f}", padding=3, fontsize=9)
    axis.axvline(1.0, color="0.4", lw=0.8)
    axis.set_yticks(np.arange(len(jobs)), jobs)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_xlabel("times as fast as synaptogen 0.2.0 (2^20 cells)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=9, loc="outside upper center")
    return figure


def main() -> None:
    chart(json.loads(PROCESSORS.read_text())).savefig("performance.png", dpi=120)


if __name__ == "__main__":
    main()
