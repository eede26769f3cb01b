"""``__all__`` is what a module offers: all of it there and documented, and nothing else is used."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pbactors
from pbactors import errors

NAMES = sorted(
    module.name
    for module in pkgutil.walk_packages(pbactors.__path__, "pbactors.")
    if module.name != "pbactors.__main__"  # begins to run when it is imported
)
MODULES = [importlib.import_module(name) for name in ["pbactors", *NAMES]]


def offered(module: ModuleType) -> list[str]:
    return getattr(module, "__all__", [])


def taken(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield module and name of everything that a module takes out of others of the package."""
    assert module.__file__ is not None
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pbactors"):
            assert node.module is not None
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_all_names_what_is_there(module: ModuleType) -> None:
    names = offered(module)
    assert len(names) == len(set(names)), "a name stands twice"
    missing = [name for name in names if not hasattr(module, name)]
    assert not missing


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_modules_use_only_what_others_offer(module: ModuleType) -> None:
    private = [
        f"{source}.{name}"
        for source, name in taken(module)
        if f"{source}.{name}" not in NAMES and name not in offered(importlib.import_module(source))
    ]
    assert not private, "used by another module, but not in __all__"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_package_offers_everything_that_it_gathers(module: ModuleType) -> None:
    if hasattr(module, "__path__"):
        gathered = {name for source, name in taken(module) if f"{source}.{name}" not in NAMES}
        assert gathered == set(offered(module))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_everything_offered_is_documented(module: ModuleType) -> None:
    assert module.__doc__
    bare = [
        name
        for name in offered(module)
        if inspect.isclass(value := getattr(module, name)) or inspect.isfunction(value)
        # A dataclass without a docstring gets its signature as one.
        if not vars(value).get("__doc__", value.__doc__)
        or (value.__doc__ or "").startswith(f"{name}(")
    ]
    assert not bare, "say what it is, and what a caller must know"


def test_the_package_offers_every_error() -> None:
    """Whatever pbactors raises can be caught by a name of the package itself."""
    assert set(errors.__all__) <= set(pbactors.__all__)
    raised = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert raised == set(errors.__all__)


def test_a_star_import_brings_names_that_pbactors_defines() -> None:
    for name in pbactors.__all__:
        value = getattr(pbactors, name)
        assert isinstance(value, str) or value.__module__.startswith("pbactors."), name
