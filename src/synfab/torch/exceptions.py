"""Options of ``convert`` for some of the layers: by name, container, pattern or type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TypeAlias

from torch import nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.torch import presets
from synfab.torch.options import check_names

Options: TypeAlias = Mapping[str, object]

# Name, container, pattern or type of layers: options of its own, or None: it stays in software.
Exceptions: TypeAlias = Mapping[str | type[nn.Module], Options | None]
SPECIAL = frozenset("*?[")


class Chosen:
    """The checked exceptions of a network.

    The most specific one applies: a layer's own name, then the containers around it from the
    innermost, by name or pattern; then its type, and the types of the containers.
    """

    def __init__(self, exceptions: Exceptions | None, modules: Mapping[str, nn.Module]) -> None:
        self.modules = modules
        self.given: dict[str | type, Options | None] = (
            {} if exceptions is None else dict(checks.mapping("exceptions", exceptions))
        )
        for key, own in self.given.items():
            if isinstance(key, str):
                self._check_name(key)
            elif not isinstance(key, type):
                raise InvalidTypeError(
                    f"exceptions: expected names or types of layers, found {checks.shown(key)}"
                )
            if own is not None:
                check_names(checks.mapping("exceptions", own))
                if "preset" in own:  # it has precedence over the options of the network
                    self.given[key] = {**presets.load(own["preset"]), **own}  # type: ignore[arg-type]

    def _check_name(self, key: str) -> None:
        names = self.modules
        found = [name for name in names if name == key or fnmatchcase(name, key)]
        if not found:
            raise InvalidValueError(
                f"exceptions: the network has no layer {key!r}; it has "
                f"{', '.join(name for name in names if name)}"
            )
        if not any(list(names[name].parameters()) for name in found):
            raise InvalidValueError(f"exceptions: {key!r} has no weights")

    def of(self, name: str) -> Options | None:
        """Return the options of the layer of a name, {} without an exception; None: software."""
        path = list(_containers(name))
        for place in path:
            if place in self.given:
                return self.given[place]
            for key, own in self.given.items():
                if isinstance(key, str) and SPECIAL & set(key) and fnmatchcase(place, key):
                    return own
        for place in path:
            for kind in type(self.modules[place]).__mro__:
                if kind in self.given:
                    return self.given[kind]
        return {}


def _containers(name: str) -> Iterator[str]:
    """Yield a name and those of the modules that contain it, from the innermost."""
    while name:
        yield name
        name = name.rpartition(".")[0]
    yield ""
