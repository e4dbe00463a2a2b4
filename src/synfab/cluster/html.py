"""Arrays on a cluster as notebooks show them: no worker is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synfab.common.html import card, counted, dimensions

if TYPE_CHECKING:
    from synfab.cluster.array import ShardedCellArray


def sharded_html(cells: ShardedCellArray, *, freed: bool) -> str:
    """Return the description of an array; ``freed``: whether its cells were freed."""
    facts = {
        "seed": str(cells.seed),
        "shards": str(cells.shards),
        "since creation": counted(cells.pulses, "pulse"),
        "state": "closed: the cells were freed" if freed else "on the workers; not read",
    }
    words = f"{dimensions(cells.shape)} cells of {cells.model.name}"
    return card("ShardedCellArray", words, facts)
