"""Program cells to target conductances: write-verify, open loop, weight mapping, tiles."""
