"""Which callables are public, and what each does when one argument is wrong."""

from __future__ import annotations

import importlib
import inspect
import os
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import synfab as sf

from .annotations import fits
from .values import VALUES

# Modules whose ``__all__`` is public.
MODULES = (
    *("synfab", "synfab.compat", "synfab.circuit", "synfab.cluster", "synfab.crossbar"),
    *("synfab.jax", "synfab.learn", "synfab.report", "synfab.simulate", "synfab.torch"),
)
# Documented in docs/reference, but reached through other objects.
EXTRAS = (
    *(
        "synfab.cells.view.CellView",
        "synfab.io.checkpoints.Run",
        "synfab.model.conduction.Conduction",
    ),
    *("synfab.model.history.History", "synfab.model.population.Population"),
    *("synfab.model.scale.Scale", "synfab.model.wear.WearIn", "synfab.model.wear.Failure"),
    "synfab.model.traps.Traps",
)
# Functions of modules that state no ``__all__``.
FUNCTIONS = ("synfab.explore.page.serve",)
SECONDS = 120  # of one call; compiling a kernel for the first time takes a minute where it is busy

# A recipe returns the callable and valid keyword arguments, created for each call.
Recipe = Callable[[Path], tuple[Callable[..., Any], dict[str, Any]]]


@dataclass
class Recipes:
    """How each public callable is called rightly."""

    made: dict[str, Recipe] = field(default_factory=dict)
    exempt: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, set[str]] = field(default_factory=dict)

    def add(self, name: str, *, skip: tuple[str, ...] = ()) -> Callable[[Recipe], Recipe]:
        """Register the recipe of a callable; ``skip``: parameters that take any object at all."""

        def register(recipe: Recipe) -> Recipe:
            assert name not in self.made, name
            self.made[name], self.skipped[name] = recipe, set(skip)
            return recipe

        return register

    def leave(self, reason: str, *names: str) -> None:
        """Leave callables out, such as classes that only the package itself makes."""
        self.exempt.update(dict.fromkeys(names, reason))


RECIPES = Recipes()


def public_callables() -> Iterator[str]:
    """Names of public functions, classes and their public methods."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) and not issubclass(thing, BaseException):
                yield f"{module_name}.{name}"
                yield from (f"{module_name}.{name}.{method}" for method in methods(thing))
            elif inspect.isroutine(thing):
                yield f"{module_name}.{name}"
    for extra in EXTRAS:
        module_name, name = extra.rsplit(".", 1)
        yield extra
        kind = getattr(importlib.import_module(module_name), name)
        yield from (f"{extra}.{method}" for method in methods(kind))
    yield from FUNCTIONS


def methods(kind: type) -> list[str]:
    """Public methods with arguments that the package itself defines for a class."""
    found = {}
    for base in kind.__mro__:
        if base.__module__.split(".")[0] == "synfab":
            found.update(dict.fromkeys(vars(base)))
    return [
        name
        for name in found
        if (not name.startswith("_") or name in {"__matmul__", "__getitem__", "__call__"})
        and inspect.isroutine(getattr(kind, name, None))
        and not isinstance(vars_of(kind, name), cached_property)
        and takes_arguments(kind, name)
    ]


def vars_of(kind: type, name: str) -> Any:
    """What stands under a name in the class that defines it."""
    return inspect.getattr_static(kind, name)


def takes_arguments(kind: type, name: str) -> bool:
    """Tell whether a method has arguments beside its object."""
    bound = isinstance(vars_of(kind, name), classmethod | staticmethod)
    return len(inspect.signature(getattr(kind, name)).parameters) > (0 if bound else 1)


def failures(name: str, folder: Path) -> list[str]:
    """Raw errors of a callable, and wrong values that it takes for right ones."""
    recipe, found = RECIPES.made[name], []
    target, valid = recipe(folder)
    parameters = inspect.signature(target).parameters
    unknown = valid.keys() - parameters.keys()
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    assert not unknown or open_ended, f"{name}: recipe with unknown arguments {unknown}"
    names = [
        key
        for key, parameter in parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    for argument in dict.fromkeys((*names, *valid)):
        if argument in RECIPES.skipped[name]:
            continue
        for label, make in VALUES.items():
            problem = attempt(recipe, folder, parameters, argument, make())
            if problem:
                found.append(f"{name}({argument}={label}): {problem}")
    return found


def attempt(recipe: Recipe, folder: Path, parameters: Any, argument: str, value: Any) -> str | None:
    """Call once with one wrong argument; return what is wrong with the answer, or None."""
    target, arguments = recipe(folder)
    arguments[argument] = value
    given, keywords = [], dict(arguments)
    for key, parameter in parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY and key in keywords:
            given.append(keywords.pop(key))
    before = content(folder)
    try:
        with limited(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target(*given, **keywords)
    except sf.SynfabError as error:
        text = str(error)
        if "\n" in text or not text:
            return f"not one line: {text!r}"
        left = content(folder) - before
        return f"refused, and left {sorted(left)[:3]} behind" if left else None
    except BaseException as error:  # whatever comes
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
    finally:
        clear(folder, before)
    annotation = getattr(parameters.get(argument), "annotation", None)
    if isinstance(annotation, str) and not fits(annotation, value):
        return f"taken for {annotation}"
    return None


def content(folder: Path) -> set[str]:
    """Names of all files and folders in a folder, at any depth."""
    return {
        os.path.relpath(os.path.join(place, name), folder)  # noqa: PTH118  # 10 times as fast
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


def clear(folder: Path, kept: set[str]) -> None:
    """Remove what a call left: the next one starts as this one did, with as few files to list."""
    for path in folder.iterdir():
        if path.name in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


class TookTooLongError(Exception):
    """A call that did not end."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """End a call that takes too long."""

    def stop(*_: object) -> None:
        raise TookTooLongError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder: a wrong path that is accepted leaves its file there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
