"""From the spelling of a class, ``module:Class``, to the class itself."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from pbactors.errors import MachineUnavailable
from pbactors.machines.state_machine import StateMachine

__all__ = ["import_machine"]


def import_machine(spelling: str, folder: Path, where: str) -> type[StateMachine]:
    """Import a class to replicate.

    Args:
        spelling: ``module:Class``.
        folder: put on the import path, behind what is there.
        where: what the error begins with: where the spelling stands.

    Raises:
        MachineUnavailable: it cannot be imported, or is no ``StateMachine``.
    """
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.append(place)
    module_name, _, class_name = spelling.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in class_name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # a script that runs, and ends, when it is imported
        raise MachineUnavailable(
            f"{where}: cannot be imported: {type(error).__name__}: {error}. Expected module:Class "
            f"on the import path or in {place}, for example pbactors.machines.kv:KeyValueStore"
        ) from error
    if not (isinstance(found, type) and issubclass(found, StateMachine)):
        raise MachineUnavailable(f"{where}: {found!r} is no subclass of pbactors.StateMachine")
    return found
