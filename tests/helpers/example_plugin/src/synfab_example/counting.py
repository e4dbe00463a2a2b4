"""An engine: the reference engine, which also counts the pulses."""

from synfab.engines.reference import ReferenceEngine
from synfab.engines.registry import register


class CountingEngine(ReferenceEngine):
    pulses = 0

    def apply_voltage(self, *arguments, **options):
        self.pulses += 1
        return super().apply_voltage(*arguments, **options)


register("counting", CountingEngine)
