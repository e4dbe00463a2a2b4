"""Published model parameters and the layout of their file."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from synfab.common.errors import FileFormatError, SynfabError
from synfab.io.json_file import Fields
from synfab.io.limits import read_whole, require_order
from synfab.model.cell_model import CellModel
from synfab.model.conduction import Conduction
from synfab.model.history import N_FEATURES, History
from synfab.model.population import N_PARAMETERS, Population

PUBLISHED_SHA256 = "b59bbfa2845f10310335efcef3f1cd3a01f2d1a929138b6a49bb935d5db59313"
INSTALL = 'pip install "synaptogen>=0.2,<0.3"'

# The published file does not state the measured voltages, which were -1.5 V … U_max.
PUBLISHED_MIN_VOLTAGE = -1.5
# Quantity to its key in the published file.
GREEK = {
    "marginals": "\u03b3",
    "means": "\u03bcDtD",
    "factors": "LDtD",
    "eta": "\u03b7",
    "u_0": "U\u2080",
}


def published_document() -> tuple[bytes, str]:
    """Return the bytes of the published parameter file and its path.

    Raises
    ------
    FileFormatError
        The package that contains the file is not installed, or has another version of it.
    """
    try:
        distribution = metadata.distribution("synaptogen")
    except metadata.PackageNotFoundError:
        raise FileFormatError(
            f"model: the published parameters are in the package synaptogen: {INSTALL}"
        ) from None
    path = Path(str(distribution.locate_file("synaptogen/default_params.json")))
    data = read_whole(path, "the model file")
    if hashlib.sha256(data).hexdigest() != PUBLISHED_SHA256:
        raise FileFormatError(
            f"{path}: not the published parameters (synaptogen {distribution.version}): {INSTALL}"
        )
    return data, str(path)


def is_published(document: dict[str, object]) -> bool:
    """Return True if a JSON object has fields of the published layout."""
    return "wk" in document or GREEK["means"] in document


def read_published(document: dict[str, object]) -> CellModel:
    """Return the model in a JSON object of the published layout."""
    orders = sorted(key for key in document if key.startswith("VAR_"))
    names = ("HHRS", "LLRS", "Umax", "wk", *GREEK.values(), *orders)
    fields = Fields(document, "", names)
    if not orders:
        raise FileFormatError("VAR: missing")
    weights = fields.array("wk", depth=1)
    means = fields.array(GREEK["means"], depth=2)
    side_by_side = fields.array(GREEK["factors"], depth=2)
    if side_by_side.shape != (N_PARAMETERS, N_PARAMETERS * len(weights)):
        raise FileFormatError(
            f"LDtD: expected 8 x {N_PARAMETERS * len(weights)} numbers, found {side_by_side.shape}"
        )
    factors = side_by_side.reshape(N_PARAMETERS, len(weights), N_PARAMETERS).transpose(1, 0, 2)
    u_max = fields.array("Umax", depth=0)
    conduction = Conduction(
        fields.array("HHRS", depth=1),
        fields.array("LLRS", depth=1),
        fields.array(GREEK["eta"], depth=0),
        u_max,
        fields.array(GREEK["u_0"], depth=0),
        (PUBLISHED_MIN_VOLTAGE, float(u_max)),
    )
    return CellModel(
        name="published",
        marginals=fields.array(GREEK["marginals"], depth=2),
        histories=_histories(fields, orders),
        population=Population(weights, means.T, factors),
        conduction=conduction,
        provenance={
            "papers": "Front. Neurosci. 16:941753 (2022); IEEE TED (2024), arXiv 2404.06344",
            "measurement": "512 devices x 6000 cycles of a 1T1R array",
            "source": "trained parameters in the layout of synaptogen 0.2.0",
        },
    )


def _histories(fields: Fields, keys: list[str]) -> dict[int, History]:
    histories: dict[int, History] = {}
    for key in keys:
        matrix = fields.array(key, depth=2)
        columns = matrix.shape[1]
        if matrix.shape[0] != N_FEATURES or columns % N_FEATURES or columns < 2 * N_FEATURES:
            raise FileFormatError(f"{key}: expected 4 x 4(p + 1) numbers, found {matrix.shape}")
        blocks = matrix.reshape(N_FEATURES, -1, N_FEATURES).transpose(1, 0, 2)
        require_order(key, len(blocks) - 1, histories)
        try:  # [B | A_p | … | A_1]: the last block is lag 1
            history = History(blocks[0], blocks[:0:-1])
        except SynfabError as error:
            raise FileFormatError(f"{key}: {error}") from None
        if key != f"VAR_{history.order:03d}":
            raise FileFormatError(f"{key}: has {history.order} lags")
        histories[history.order] = history
    return histories
