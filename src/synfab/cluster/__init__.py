"""Cells on many machines: shards on the workers of a Dask cluster."""

from synfab.cluster.array import ShardedCellArray

__all__ = ["ShardedCellArray"]
