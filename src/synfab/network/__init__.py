"""Resistive network of a crossbar: wires, bias, access devices, solver, gradients."""
