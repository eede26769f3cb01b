"""Calling a cluster: ``connect``, and the ``Cluster`` it returns.

::

    with pbactors.connect("topology/local.toml") as cluster:
        store = cluster.proxy(KeyValueStore)
        store.put("color", "blue")

A call blocks until primary *and* backup have executed it. A failover is not noticed but by the
clock. What a failed call means is said by its class, see :mod:`pbactors.errors`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import pykka

from pbactors.actors.client import Admission, ClientActor, Close
from pbactors.actors.core_actor import Life
from pbactors.errors import NotSent, UnsupportedValue, WrongMachine
from pbactors.machines.calls import encode_call
from pbactors.machines.state_machine import StateMachine, interface, kind_of
from pbactors.topology import Topology, load

__all__ = ["Cluster", "connect"]

M = TypeVar("M", bound=StateMachine)
R = TypeVar("R")

CLOSE_TIMEOUT_S = 0.5
"""How long ``close`` waits for the cluster to end the session."""

STOP_TIMEOUT_S = 5.0
"""How long ``close`` waits for the actor after that, which has nothing slow to do."""


def connect(topology: str | Path | Topology) -> Cluster:
    """Return a client of the cluster that a topology file describes.

    Returns at once, whether or not the cluster is up: calls wait for it.

    Args:
        topology: the path of a topology file, or one that is loaded.

    Raises:
        TopologyError: the file is wrong.
    """
    return Cluster(topology if isinstance(topology, Topology) else load(topology))


class Cluster:
    """A client of a cluster: one session, usable from any thread. Use it in a ``with`` block.

    Calls of one thread take effect in their order. A client does not survive ``fork``: in the child
    every call raises ``NotSent``.

    Args:
        topology: of the cluster.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._foreign = False  # whether this is the copy in a forked child
        self._life = Life()
        self._admission = Admission(topology.limits.pending_operations_max)
        self._actor = ClientActor.start(topology, self._admission, life=self._life)
        # A client that nobody closed must not leave its thread behind.
        weakref.finalize(self, _stop, self._actor).atexit = False
        _clients.add(self)

    # -- calls --------------------------------------------------------------------------------

    def submit(
        self,
        method: Callable[..., R],
        /,
        *args: object,
        timeout_s: float | None = None,
        **kwargs: object,
    ) -> pykka.Future[R]:
        """Begin a call without waiting for it; calls take effect in the order of submission.

        Blocks only while ``pending_operations_max`` calls of this client are open.

        Args:
            method: a command or query of the replicated class, such as ``Bank.deposit``.
            args: its arguments, without ``self``.
            timeout_s: after so many seconds the future is set to an error; None for never.
            kwargs: its keyword arguments.

        Returns:
            A future: ``get()`` returns the result, or raises what ``call`` would raise.

        Raises:
            TypeError: ``method`` is no command or query, or ``timeout_s`` is no number.
            ValueError: ``timeout_s`` is nan.
            UnsupportedValue: an argument cannot be carried; nothing was sent.
            NotSent: this client is closed, or was made before a ``fork``.
        """
        return self._submit(method, args, kwargs, timeout_s)

    def call(
        self,
        method: Callable[..., R],
        /,
        *args: object,
        timeout_s: float | None = None,
        **kwargs: object,
    ) -> R:
        """Call a method and return its result, once primary and backup have executed it.

        Args:
            method: a command or query of the replicated class, such as ``Bank.deposit``.
            args: its arguments, without ``self``.
            timeout_s: how long to wait, in seconds; None waits for as long as it takes.
            kwargs: its keyword arguments.

        Raises:
            TypeError: ``method`` is no command or query, or ``timeout_s`` is no number.
            ValueError: ``timeout_s`` is nan.
            UnsupportedValue: an argument cannot be carried; nothing was sent.
            MethodRaised: the method raised, on every copy.
            NotSent: no answer in time, and it certainly did not happen.
            OutcomeUnknown: no answer in time; it may have happened, or may still happen.
            SessionExpired: the cluster dropped this client's session; it may have happened.
            WrongMachine: the cluster replicates another class.
        """
        future: pykka.Future[R] = self._submit(method, args, kwargs, timeout_s)
        return future.get()

    def proxy(self, machine: type[M], timeout_s: float | None = None) -> M:
        """Return an object that looks like an instance of ``machine`` and calls the cluster.

        Args:
            machine: the class that the cluster replicates.
            timeout_s: for each call, in seconds; None waits for as long as it takes.

        Raises:
            WrongMachine: the topology names another class.
        """
        kinds = interface(machine)
        if not _is_named(machine, self.topology.machine):
            raise WrongMachine(
                f"{self.topology.path} replicates {self.topology.machine}, "
                f"not {machine.__module__}:{machine.__qualname__}"
            )
        methods = {name: getattr(machine, name) for name in kinds}
        return cast("M", _Proxy(self, methods, timeout_s))

    def _submit(
        self,
        method: Callable[..., Any],
        args: tuple[object, ...],
        kwargs: dict[str, object],
        timeout_s: float | None,
    ) -> pykka.Future[Any]:
        kind = kind_of(method)
        name = method.__name__
        body = encode_call(name, args, kwargs, method)
        most = self.topology.limits.operation_bytes_max
        if len(body) > most:
            raise UnsupportedValue(
                f"the arguments of {name} take {len(body)} bytes, "
                f"more than operation_bytes_max ({most}); send less in one call"
            )
        if self._foreign:
            raise NotSent("this client was made before a fork; connect again in the child")
        if timeout_s is not None:
            _refuse_no_seconds(timeout_s)
        return self._admission.submit(self._actor, kind == "query", body, timeout_s)

    # -- end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """End the session and stop. Calls that are open end with an error. Repeating is harmless.

        Waits for the cluster's goodbye for half a second at most; without it the session is
        dropped by the cluster when its place is needed.
        """
        if self._foreign:
            return
        _clients.discard(self)
        with contextlib.suppress(pykka.ActorDeadError):
            self._actor.tell(Close(CLOSE_TIMEOUT_S))
        self._life.closed.wait(CLOSE_TIMEOUT_S + STOP_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _after_fork(self) -> None:
        self._foreign = True


def _stop(actor: pykka.ActorRef[ClientActor]) -> None:
    with contextlib.suppress(pykka.ActorDeadError):
        actor.stop(block=False)


def _refuse_no_seconds(timeout_s: object) -> None:
    if not isinstance(timeout_s, int | float):
        what = type(timeout_s).__name__
        raise TypeError(f"timeout_s is a {what}; expected seconds, for example 2.5, or None")
    if math.isnan(timeout_s):
        raise ValueError("timeout_s is nan; expected seconds, for example 2.5, or None")


class _Proxy:
    """Turns attribute access into calls of a cluster."""

    def __init__(
        self, cluster: Cluster, methods: dict[str, Callable[..., Any]], timeout_s: float | None
    ) -> None:
        self._cluster = cluster
        self._methods = methods
        self._timeout_s = timeout_s

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = self._methods.get(name)
        if method is None:
            known = ", ".join(sorted(self._methods))
            raise AttributeError(f"no command or query {name!r}; there are: {known}")
        cluster, timeout_s = self._cluster, self._timeout_s

        @functools.wraps(method)
        def call(*args: object, **kwargs: object) -> Any:
            return cluster._submit(method, args, kwargs, timeout_s).get()

        return call

    def __dir__(self) -> list[str]:
        return sorted(self._methods)


def _is_named(machine: type[StateMachine], path: str) -> bool:
    """Tell whether a topology's ``module:Class`` means this class.

    The module may have been found from another folder, or be the script that runs, so its last
    part decides.
    """
    module, _, name = path.partition(":")
    found = machine.__module__
    if found == "__main__":
        found = Path(getattr(sys.modules["__main__"], "__file__", None) or "").stem
    return machine.__qualname__ == name and found.split(".")[-1] == module.split(".")[-1]


_clients: weakref.WeakSet[Cluster] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
