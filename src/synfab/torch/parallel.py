"""Wrappers of PyTorch that would copy or synchronise layers on cells, which are refused."""

from __future__ import annotations

from typing import NoReturn

from torch.nn.parallel import DistributedDataParallel

from synfab.common.errors import InvalidTypeError


def refuse_replicas() -> NoReturn:
    """Raise, as ``DataParallel`` replicates a layer."""
    raise InvalidTypeError(
        "DataParallel: layers on cells cannot be replicated, since the copies would share "
        "their cells; use one process per device"
    )


def refuse_distributed() -> None:
    """Raise inside a forward pass of ``DistributedDataParallel``.

    It copies weights and states of the first process to the others, whose cells stay as they are.
    """
    if getattr(DistributedDataParallel, "_active_ddp_module", None) is not None:
        raise InvalidTypeError(
            "DistributedDataParallel: the cells of each process are its own and cannot be "
            "synchronised; train a hardware-aware network, or give each process a chip of its own"
        )
