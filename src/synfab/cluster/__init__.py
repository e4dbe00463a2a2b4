"""Arrays of cells distributed over the workers of a Dask cluster."""

from synfab.cluster.array import ShardedCellArray

__all__ = ["ShardedCellArray"]
