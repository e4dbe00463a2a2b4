"""Gaussian mixtures of quantities that are known with errors.

The expectation-maximisation of J. Bovy, D. W. Hogg and S. T. Roweis, "Extreme deconvolution",
Annals of Applied Statistics 5:1657 (2011), for errors that are independent of each other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synfab.common.types import Array

STEPS = 200
CONVERGED = 1e-5  # change of the mean log-likelihood


class Gaussians(NamedTuple):
    """Weights (K,), means (K, D) and covariances (K, D, D) of a mixture."""

    weights: Array
    means: Array
    covariances: Array


def without_errors(start: Gaussians, x: Array, variances: Array, floor: float) -> Gaussians:
    """Return the mixture of the true values of ``x``, (N, D), with error variances (N, D).

    Parameters
    ----------
    start
        Mixture of the values with their errors.
    floor
        Added to the variances of each component, which then cannot vanish.
    """
    size = x.shape[1]
    taken = np.eye(size) * np.median(variances, axis=0)
    found = start._replace(
        covariances=np.array([_positive(c - taken, floor) for c in start.covariances])
    )
    before = -np.inf
    for _ in range(STEPS):
        found, likelihood = _step(found, x, variances, floor)
        if likelihood - before < CONVERGED:
            break
        before = likelihood
    return found


def _step(now: Gaussians, x: Array, variances: Array, floor: float) -> tuple[Gaussians, float]:
    count, size = x.shape
    logs = np.empty((len(now.weights), count))
    guesses, spreads = [], []
    for k, (weight, mean, covariance) in enumerate(zip(*now, strict=True)):
        total = covariance + variances[:, :, None] * np.eye(size)
        inverse = np.linalg.inv(total)
        off = x - mean
        pull = np.einsum("nij,nj->ni", inverse, off)
        sign_and_log = np.linalg.slogdet(total)[1]
        logs[k] = np.log(weight + 1e-300) - 0.5 * (sign_and_log + (off * pull).sum(axis=1))
        guesses.append(mean + pull @ covariance)
        spreads.append(covariance - covariance @ inverse @ covariance)
    top = logs.max(axis=0)
    share = np.exp(logs - top)
    likelihood = float(np.mean(top + np.log(share.sum(axis=0))))
    share /= share.sum(axis=0)
    weights = share.sum(axis=1)
    means, covariances = [], []
    for k, guess in enumerate(guesses):
        mean = share[k] @ guess / weights[k]
        off = guess - mean
        inner = (share[k, :, None] * off).T @ off + np.einsum("n,nij->ij", share[k], spreads[k])
        covariances.append(inner / weights[k] + 0.1 * floor * np.eye(size))
        means.append(mean)
    return Gaussians(weights / count, np.array(means), np.array(covariances)), likelihood


def _positive(covariance: Array, floor: float) -> Array:
    """Return the matrix with eigenvalues of at least ``floor``."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)
