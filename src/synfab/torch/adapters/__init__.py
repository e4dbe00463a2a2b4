"""Adapters for other simulators of analog hardware: aihwkit and CrossSim."""
