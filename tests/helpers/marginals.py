"""Models with other marginals than the published ones."""

import numpy as np

import synfab as sf
from synfab.model.cell_model import PIECES_END


def in_pieces(polynomials, count):
    """Rewrite polynomials in the position within each piece (Taylor's formula)."""
    edges = np.linspace(-PIECES_END, PIECES_END, count + 1)
    width = edges[1] - edges[0]
    degree = polynomials.shape[1] - 1
    result = np.empty((4, count, degree + 1))
    for f, row in enumerate(polynomials):
        for k in range(degree + 1):
            derivative = np.polyder(row, k) if k else row
            scale = width**k / np.prod(np.arange(1.0, k + 1.0))
            result[f, :, degree - k] = np.polyval(derivative, edges[:-1]) * scale
    return result


def with_marginals(model, marginals):
    return sf.CellModel(model.name, marginals, model.histories, model.population, model.conduction)
