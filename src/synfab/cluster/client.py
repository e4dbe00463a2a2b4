"""Checks of a Dask client before cells are created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synfab.common import checks, extras
from synfab.common.errors import CapacityError
from synfab.engines.capacity import bytes_per_cell
from synfab.io.memory import size_text
from synfab.model.cell_model import CellModel

if TYPE_CHECKING:
    from distributed import Client


def check_client(client: object) -> None:
    """Raise ``InvalidTypeError`` if this is not a ``distributed.Client``."""
    extras.check("distributed")
    from distributed import Client

    checks.instance("client", client, Client, "a distributed.Client")


def check_memory(client: Client, cells: int, order: int, history: str, model: CellModel) -> None:
    """Raise ``CapacityError`` if the cells do not fit into the memory of the workers."""
    traps = model.traps is not None
    needed = cells * bytes_per_cell(order, history, model.averages, traps=traps)
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    limits = [worker["memory_limit"] for worker in workers]
    if limits and all(limits) and needed > sum(limits):
        raise CapacityError(
            f"shape: {cells} cells need {size_text(needed)}, the {len(limits)} workers have "
            f'{size_text(sum(limits))}; use fewer cells, history="compact" or more workers, and '
            f"wait until they have started"
        )
