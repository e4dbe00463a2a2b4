"""Models with the parts that the published one does not have."""

import numpy as np

import synfab as sf
from synfab.model.cell_model import CellModel
from synfab.model.history import History
from synfab.model.population import Population
from synfab.model.scale import Scale
from synfab.model.wear import Failure, WearIn
from synfab.physics.drawing import NEVER


def scales():
    return (
        Scale("log", shift=2e3, low=1e4, high=1e9),
        Scale("log", sign=-1.0, low=-3.0, high=-0.1),
        Scale("reciprocal", low=500.0, high=1e5),
        Scale(low=0.1, high=1.6),
    )


def population():
    """Two components of (mu, ln sigma) whose resistances are those of the published model."""
    mean = np.array([5.3, np.log10(0.8), 1.0 / 3000.0, 0.75])
    sigma = np.array([0.15, 0.03, 2e-5, 0.04])
    means = np.concatenate([mean, np.log(sigma)])
    spread = np.concatenate([0.5 * sigma, [0.3, 0.3, 0.3, 0.3]])
    factor = np.diag(spread)
    factor[4:, :4] = 0.1 * np.eye(4) * spread[4:, None]
    return Population([0.9, 0.1], [means, means + 0.5 * spread], [factor, 2.0 * factor], True)


def with_averages(history):
    """The history with two slow averages; the lags are weaker, so that it remains stable."""
    couplings = np.stack([0.3 * np.eye(4), 0.2 * np.eye(4)])
    couplings[0, 0, 1] = 0.05
    return History(0.9 * history.innovation, 0.5 * history.lags, [0.1, 0.01], couplings)


def wear_in():
    return WearIn(
        [0.7, 30.0],
        [[2.0, -0.5, 0.3, 0.1], [-0.7, 0.2, 0.0, 0.4]],
        [[0.1, 0.2, 0.0, 0.3], [0.5, 0.0, -0.2, 0.1]],
    )


def failure():
    return Failure(40.0, 1.5, share=0.6, stuck_hrs=0.3)


def model_with_every_part(**without):
    """A model with every optional part; ``name=None`` leaves one out."""
    published = sf.load_model("published")
    pieces = np.array(published.marginals)
    histories = {p: with_averages(published.history(p)) for p in (1, 3, 10)}
    given = {
        "scales": scales(), "wear_in": wear_in(), "failure": failure(), **without
    }  # fmt: skip
    return CellModel("every part", pieces, histories, population(), published.conduction, **given)


def models():
    """Models with one kind of optional part each, and one with all, by name."""
    published = sf.load_model("published")
    whole = model_with_every_part()
    histories = dict(whole.histories)
    of_scales = {"scales": scales(), "population": population(), "marginals": whole.marginals}
    return {
        "scales": published.replace(**of_scales),
        "averages": published.replace(histories=histories),
        "wear-in": published.replace(wear_in=wear_in()),
        "failure": published.replace(failure=failure()),
        "every part": whole,
    }


def within_reach(u):
    """Return voltages with infinite ones, of failed cells, as the finite ones of the rules."""
    return np.clip(u, -NEVER, NEVER)
