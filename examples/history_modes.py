"""Memory per cell and correlation errors of the history modes."""

import matplotlib.pyplot as plt
import numpy as np

import synfab as sf
from synfab.engines.capacity import bytes_per_cell
from synfab.model.cell_model import FEATURES
from synfab.model.reduction import reduce_history

LAGS = 50


def correlations(covariance):
    """Return correlations: autocovariances divided by the standard deviations of the process."""
    deviation = np.sqrt(np.diag(covariance[0]))
    return covariance / np.outer(deviation, deviation)


def main() -> None:
    model = sf.load_model("published")
    full = model.history(None)
    exact = correlations(full.autocovariance(LAGS))
    kinds = {"full (order 10)": (exact, "float32", 10)}
    for order in (1, 2):
        shorter = correlations(model.history(order).autocovariance(LAGS))
        kinds[f"order {order}"] = (shorter, "float32", order)
    kinds["compact"] = (correlations(reduce_history(full).autocovariance(LAGS)), "compact", 10)

    print("| history | bytes per cell | largest error | rms error, lags 1 to 50 |")
    print("|---|---|---|---|")
    figure, axes = plt.subplots(2, 2, figsize=(8, 5.5), sharex=True, layout="constrained")
    styles = {"full (order 10)": ("black", "-", 3.0), "order 1": ("#E69F00", ":", 1.5),
              "order 2": ("#009E73", "-.", 1.5), "compact": ("#56B4E9", "-", 1.3)}  # fmt: skip
    for name, (found, history, order) in kinds.items():
        error = (found - exact)[1:]
        own = np.diagonal(error, axis1=1, axis2=2)
        cost = bytes_per_cell(order, history)
        print(f"| {name} | {cost} | {np.abs(error).max():.3f} | {np.sqrt((own**2).mean()):.3f} |")
        color, line, width = styles[name]
        for k, axis in enumerate(axes.flat):
            axis.plot(found[:, k, k], color=color, ls=line, lw=width, label=f"{name}, {cost} B")
            axis.set_title(FEATURES[k])
    for axis in axes[1]:
        axis.set_xlabel("lag (cycles)")
    for axis in axes[:, 0]:
        axis.set_ylabel("autocorrelation")
    for axis in axes.flat:
        axis.set_ylim(0.0, 0.6)
    axes[0, 0].legend(frameon=False)
    figure.savefig("history_modes.png", dpi=150)


if __name__ == "__main__":
    main()
