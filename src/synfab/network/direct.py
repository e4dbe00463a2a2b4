"""Sparse direct solver for the whole network, used where conjugate gradients fail."""

from __future__ import annotations

from typing import Any

import numpy as np

from synfab.common.errors import SolverError
from synfab.common.types import Array
from synfab.network.wires import Wires


def direct_step(wires: Wires, g: Array, f_column: Array, f_row: Array) -> tuple[Array, Array]:
    """Return one Newton step, by sparse LU factorisation of the whole network."""
    from scipy.sparse.linalg import splu

    rows, columns = wires.shape
    try:
        factors = splu(matrix(wires, g), permc_spec="COLAMD")
        found = factors.solve(np.concatenate([f_column.ravel(), f_row.ravel()]))
    except RuntimeError as error:
        raise SolverError(f"crossbar: the network has no unique solution ({error})") from None
    half = rows * columns
    return found[:half].reshape(rows, columns), found[half:].reshape(rows, columns)


def matrix(wires: Wires, g: Array) -> Any:
    """Return the conductance matrix (S), SciPy CSC; column nodes first, each row by row."""
    from scipy.sparse import coo_array

    rows, columns = wires.shape
    node = np.arange(rows * columns).reshape(rows, columns)
    other = node + rows * columns
    entries: list[tuple[Array, Array, Array]] = []

    def join(a: Array, b: Array, conductance: Array) -> None:
        p, q, c = a.ravel(), b.ravel(), conductance.ravel()
        entries.extend([(p, p, c), (q, q, c), (p, q, -c), (q, p, -c)])

    def ground(a: Array, conductance: Array) -> None:
        entries.append((a, a, conductance))

    join(node, other, g)
    join(node[1:], node[:-1], wires.column)
    join(other[:, 1:], other[:, :-1], wires.row)
    ground(node[0], wires.top)
    ground(node[-1], wires.bottom)
    ground(other[:, 0], wires.left)
    ground(other[:, -1], wires.right)
    p, q, c = (np.concatenate([entry[k] for entry in entries]) for k in range(3))
    size = 2 * rows * columns
    return coo_array((c, (p, q)), shape=(size, size)).tocsc()
