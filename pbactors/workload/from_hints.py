"""A workload for any class, made from the type hints of its methods."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from random import Random
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pbactors.errors import WorkloadUnavailable
from pbactors.machines.state_machine import StateMachine, interface
from pbactors.workload.base import Invocation, Unpredictable, Workload
from pbactors.workload.machine_model import MachineModel

__all__ = ["HintedWorkload", "from_hints"]

FINAL_CALLS_MAX: Final = 24
"""How many calls of each query are made at the end."""

PROBES: Final = 100
"""How many calls are tried to find out whether the class makes use of ``self.context``."""

Pool = Callable[[Random], object]

POOLS: Mapping[object, Sequence[object]] = {
    int: [0, 1, 2, 3, 7, -1],
    str: ["a", "b", "c", ""],
    bytes: [b"", b"a", b"b"],
    bool: [False, True],
    float: [0.0, 0.5, -1.5],
    type(None): [None],
    datetime: [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days) for days in range(3)],
}
"""What arguments are drawn from: small, so that calls of different clients meet."""


def from_hints(
    machine: type[StateMachine],
    partition: str | None = None,
    pools: Mapping[str, Sequence[object]] | None = None,
) -> Workload:
    """Return a workload that calls every command and query with arguments that fit their hints.

    Args:
        machine: the class.
        partition: the argument that names an independent part of the state. Every method must
            have it; parts are judged apart, which is much cheaper.
        pools: values for arguments, by the arguments' names, instead of made-up ones.

    Raises:
        WorkloadUnavailable: a hint is missing or says too little, or ``partition`` is not
            everywhere.
    """
    return HintedWorkload(machine, partition, pools or {})


class HintedWorkload(Workload):
    """See :func:`from_hints`."""

    name = "hints"

    def __init__(
        self,
        machine: type[StateMachine],
        partition: str | None,
        pools: Mapping[str, Sequence[object]],
    ) -> None:
        self.machine = machine
        self._kinds = interface(machine)
        self._arguments = {method: _arguments(machine, method, pools) for method in self._kinds}
        if not self._arguments:
            raise WorkloadUnavailable(f"{machine.__name__} has no command or query to call")
        self._places = {} if partition is None else _places(machine, self._arguments, partition)
        self._refuse_pools(pools)
        self._model = MachineModel(machine)
        self._why_no_model = self._probe()

    def _refuse_pools(self, pools: Mapping[str, Sequence[object]]) -> None:
        known = sorted({name for names in self._arguments.values() for name in names})
        for name, values in pools.items():
            where = f"{self.machine.__name__}: pools[{name!r}]"
            if name not in known:
                raise WorkloadUnavailable(
                    f"{where}: no argument has that name. Expected one of {known}"
                )
            if not values:
                raise WorkloadUnavailable(
                    f"{where} is empty. Expected values, for example [1, 2, 3]"
                )

    def _probe(self) -> str | None:
        """Return why there is no model: the class makes use of ``self.context``."""
        random = Random(0)
        state = self._model.initial()
        try:
            for turn in range(PROBES):
                state, _ = self._model.step(state, self.invoke(random, 0, turn))
        except Unpredictable as error:
            return str(error)
        return None

    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next."""
        method = random.choice(list(self._arguments))
        arguments = self._arguments[method].values()
        return Invocation(method, tuple(draw(random) for draw in arguments))

    def final(self) -> Sequence[Invocation]:
        """Ask every query, with some choices of arguments."""
        found = []
        for method, arguments in self._arguments.items():
            if self._kinds[method] == "query":
                random = Random(method)
                choices = [[draw(random) for _ in range(4)] for draw in arguments.values()]
                for chosen in islice(product(*choices), FINAL_CALLS_MAX):
                    invocation = Invocation(method, chosen)
                    if invocation not in found:
                        found.append(invocation)
        return found

    @property
    def model(self) -> MachineModel | None:
        """The class itself, or None where its results depend on ``self.context``."""
        return None if self._why_no_model else self._model

    @property
    def why_no_model(self) -> str | None:
        """Which method it is that reads ``self.context``."""
        return self._why_no_model

    def part_of(self, invocation: Invocation) -> Hashable:
        """Return the value of the argument that names the part."""
        place = self._places.get(invocation.method)
        if place is None:
            return None
        argument = invocation.arguments[place]
        try:
            hash(argument)
        except TypeError:  # a list, or a tuple of lists
            return repr(argument)
        return argument  # equal keys are one part, however they are written


# -- arguments by their hints -----------------------------------------------------------------


def _arguments(
    machine: type[StateMachine], method: str, pools: Mapping[str, Sequence[object]]
) -> dict[str, Pool]:
    """Return how to draw each argument of a method, by its name."""
    function = getattr(machine, method)
    hints = _hints(function, f"{machine.__name__}.{method}")
    found: dict[str, Pool] = {}
    for name, parameter in list(inspect.signature(function).parameters.items())[1:]:
        where = f"{machine.__name__}.{method}: argument {name!r}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.default is parameter.empty:
                raise WorkloadUnavailable(
                    f"{where} must be given by name; give a workload() of your own"
                )
            continue
        if name in pools:
            found[name] = _one_of(list(pools[name]))
        elif name in hints:
            found[name] = _pool(hints[name], where)
        else:
            raise WorkloadUnavailable(
                f"{where} has no type hint. Expected one, for example {name}: int, or values for "
                f'it: from_hints({machine.__name__}, pools={{"{name}": [1, 2, 3]}})'
            )
    return found


def _hints(function: Callable[..., object], where: str) -> Mapping[str, Any]:
    try:
        return get_type_hints(function)
    except Exception as error:
        raise WorkloadUnavailable(
            f"{where}: its type hints cannot be read: {type(error).__name__}: {error}. Expected "
            "names that can be found when the program runs: import them outside of TYPE_CHECKING"
        ) from error


def _places(
    machine: type[StateMachine], arguments: Mapping[str, Mapping[str, Pool]], partition: str
) -> dict[str, int]:
    """Return, for each method, where the argument that names the part stands."""
    lacking = sorted(method for method, names in arguments.items() if partition not in names)
    if lacking:
        raise WorkloadUnavailable(
            f"{machine.__name__}: partition={partition!r}, but {', '.join(lacking)} has no such "
            "argument. Expected one that every command and query has, for example the key of a "
            "dict; leave partition out if there is none"
        )
    return {method: list(names).index(partition) for method, names in arguments.items()}


def _one_of(values: Sequence[object]) -> Pool:
    return lambda random: random.choice(values)


def _pool(hint: Any, where: str) -> Pool:
    """Return how to draw a value for a hint."""
    if isinstance(hint, type) and hint in POOLS:
        return _one_of(POOLS[hint])
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _one_of(parts)
    if origin in (Union, types.UnionType):
        choices = [_pool(part, where) for part in parts]
        return lambda random: random.choice(choices)(random)
    made = None if _is_unhashable(hint) else _collection(hint, origin, parts, where)
    if made is None:
        raise WorkloadUnavailable(
            f"{where} is a {hint!r}, and nobody knows values for that. Expected None, bool, int, "
            "float, str, bytes, datetime, Literal, a union, or a list, tuple, dict or set of these "
            'such as list[int]; or give values: from_hints(..., pools={"name": [1, 2, 3]})'
        )
    return made


def _is_unhashable(hint: Any) -> bool:
    """Tell whether it is a set, or a dict, of what none can hold."""
    origin, parts = get_origin(hint), get_args(hint)
    unhashable = (list, dict, set)
    return origin in (set, frozenset, dict) and (get_origin(parts[0]) or parts[0]) in unhashable


def _collection(hint: Any, origin: Any, parts: tuple[Any, ...], where: str) -> Pool | None:
    kind = origin or hint
    if kind in (list, set, frozenset):
        item = _pool(parts[0], where) if parts else _one_of(POOLS[int])
        return lambda random: kind(item(random) for _ in range(random.randrange(3)))
    if kind is dict:
        key, value = (
            (_pool(part, where) for part in parts)
            if parts
            else (_one_of(POOLS[str]), _one_of(POOLS[int]))
        )
        return lambda random: {key(random): value(random) for _ in range(random.randrange(3))}
    if kind is tuple and parts:
        if parts[-1] is Ellipsis:
            item = _pool(parts[0], where)
            return lambda random: tuple(item(random) for _ in range(random.randrange(3)))
        items = [_pool(part, where) for part in parts]
        return lambda random: tuple(item(random) for item in items)
    return None
