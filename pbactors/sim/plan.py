"""What one seed draws: the whole plan of a run, known and printed before it begins.

A plan can be changed by a short text such as ``clients=2 operations=9 loss=0 actions=3,7``, so
that a run that was made smaller is replayed by one command and needs no file.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

from pbactors.config import Limits, Timing
from pbactors.sim.actions import Action, draw_actions
from pbactors.sim.mix import Mix

__all__ = ["OPERATIONS", "SWITCHES", "Plan"]

OPERATIONS = 320
"""Client operations of a run unless another number is asked for."""

SWITCHES = ("ruthless", "ending", "absence")
"""What a plan has or has not."""

REPLICAS_MAX = 4
CLIENTS_MAX = 5
_MIX_NAMES = tuple(field.name for field in fields(Mix))
_NUMBERS = ("replicas", "clients", "operations", "horizon_ms")
_EXAMPLE = "'clients=2 operations=9 loss=0 actions=3,7'"


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, before it begins.

    Attributes:
        seed: of every choice that the plan leaves open.
        replicas: how many.
        clients: how many.
        operations: how many calls all clients make together; the reads at the end come on top.
        horizon_ms: until when the nemesis acts, in virtual milliseconds.
        latency_ms: the ordinary time of a message on its way.
        ruthless: whether the last copy of the state may be lost too, once most operations are made;
            then the cluster stays stuck.
        ending: whether the run ends with the loss of all that hold the state.
        absence: whether primary or backup dies once all is calm, and never comes back.
        mix: what goes wrong with messages and timers.
        actions: what the nemesis does.
        timing: of the cluster.
        limits: of the cluster.
        min_copies: how many copies of the state an answer needs; 2 only with a replica to spare.
    """

    seed: int
    replicas: int
    clients: int
    operations: int
    horizon_ms: int
    latency_ms: float
    ruthless: bool
    ending: bool
    absence: bool
    mix: Mix
    actions: tuple[Action, ...]
    timing: Timing
    limits: Limits
    min_copies: int

    @classmethod
    def draw(cls, seed: int, operations: int = OPERATIONS) -> Plan:
        """Return the plan of a seed.

        Args:
            seed: any whole number.
            operations: how many client operations; the time in which faults happen grows with it.
        """
        random = Random(f"{seed}/plan")
        timing = _draw_timing(random)
        dead_ms = timing.dead_interval_ms
        horizon_ms = max(round(operations * random.uniform(0.8, 2.4)), 4 * dead_ms)
        replicas = random.choice((2, 3, 3, 3, REPLICAS_MAX))
        return cls(
            seed=seed,
            replicas=replicas,
            clients=random.randint(2, CLIENTS_MAX),
            operations=operations,
            horizon_ms=horizon_ms,
            latency_ms=random.choice((0.5, 2.0, 5.0)),
            ruthless=random.random() < 0.04,
            ending=random.random() < 0.08,
            absence=random.random() < 0.3,
            mix=Mix.draw(random),
            actions=draw_actions(random, horizon_ms, dead_ms),
            timing=timing,
            limits=_draw_limits(random),
            min_copies=random.choice((1, 1, 1, 2)) if replicas > 2 else 1,
        )

    def changed(self, text: str) -> Plan:
        """Return this plan with the changes that ``text`` names.

        Raises:
            ValueError: the text names something else, or a value that makes no sense.
        """
        plan = self
        for word in text.split():
            name, equals, value = word.partition("=")
            if not equals:
                raise ValueError(
                    f"plan: {word!r} is no NAME=VALUE. Expected, for example, {_EXAMPLE}"
                )
            plan = plan._with(name, value)
        return plan

    def _with(self, name: str, value: str) -> Plan:
        if name == "actions":
            return replace(self, actions=self._kept(value))
        changes: dict[str, Any] = {}
        if name in _NUMBERS:
            changes[name] = _number(name, value, 1)
            if name == "replicas" and changes[name] < 3:
                changes["min_copies"] = 1  # two copies want a replica to spare
            return replace(self, **changes)
        if name in SWITCHES:
            if value not in ("0", "1"):
                raise ValueError(f"plan: {name}={value}. Expected 0 or 1, for example {name}=0")
            changes[name] = value == "1"
            return replace(self, **changes)
        if name in _MIX_NAMES:
            return replace(self, mix=replace(self.mix, **{name: _share(name, value)}))
        known = ", ".join(("actions", *_NUMBERS, *SWITCHES, *_MIX_NAMES))
        raise ValueError(f"plan: {name!r} is unknown. Expected one of {known}; example: {_EXAMPLE}")

    def _kept(self, value: str) -> tuple[Action, ...]:
        if value in ("", "none"):
            return ()
        numbers = {_number("actions", part, 1) for part in value.split(",")}
        missing = numbers - {action.number for action in self.actions}
        if missing:
            raise ValueError(
                f"plan: actions={value}: seed {self.seed} has no action {min(missing)}. Expected "
                f"numbers from 1 to {len(self.actions)}, for example actions=1,2, or actions=none"
            )
        return tuple(action for action in self.actions if action.number in numbers)

    def changes_from(self, drawn: Plan) -> str:
        """Return the text that makes ``drawn`` into this plan."""
        words = [
            f"{name}={getattr(self, name)}"
            for name in _NUMBERS
            if getattr(self, name) != getattr(drawn, name)
        ]
        words += [
            f"{name}={int(getattr(self, name))}"
            for name in SWITCHES
            if getattr(self, name) != getattr(drawn, name)
        ]
        words += [
            f"{name}={repr(getattr(self.mix, name)).removesuffix('.0')}"
            for name in _MIX_NAMES
            if getattr(self.mix, name) != getattr(drawn.mix, name)
        ]
        if self.actions != drawn.actions:
            kept = ",".join(str(action.number) for action in self.actions)
            words.append(f"actions={kept or 'none'}")
        return " ".join(words)

    def __str__(self) -> str:
        mix = ", ".join(
            f"{name.replace('_', ' ')} {100 * getattr(self.mix, name):.0f} %"
            for name in _MIX_NAMES
            if getattr(self.mix, name)
        )
        limits = ", ".join(
            f"{field.name} {getattr(self.limits, field.name)}"
            for field in fields(Limits)
            if getattr(self.limits, field.name) != field.default
        )
        lines = [
            f"seed {self.seed}: {self.replicas} replicas, {self.clients} clients, "
            f"{self.operations} operations, faults for {self.horizon_ms} ms, "
            f"dead after {self.timing.dead_interval_ms} ms, latency {self.latency_ms:g} ms"
            + (", the last copy may be lost" if self.ruthless else "")
            + (", the state is lost at the end" if self.ending else "")
            + (", primary or backup dies at the end" if self.absence else "")
            + (", an answer needs two copies" if self.min_copies == 2 else ""),
            f"  mix      {mix or 'nothing goes wrong with messages and timers'}",
            f"  limits   {limits or 'as by default'}",
            *(f"  action   {action}" for action in self.actions),
        ]
        return "\n".join(lines)


def _draw_timing(random: Random) -> Timing:
    dead_pings = random.choice((2, 2, 2, 3, 3, 4, 4, 6, 9, 20))
    client_resend_ms = random.choice((40, 60, 100))
    return Timing(
        dead_pings=dead_pings,
        resend_interval_ms=random.choice((15, 30, 45)),
        client_resend_ms=client_resend_ms,
        client_resend_max_ms=client_resend_ms * random.choice((1, 2, 4)),
        link_loss_ms=random.choice((30, 60, 120, 300)),
    )


def _draw_limits(random: Random) -> Limits:
    """Return mostly small limits: what happens at a bound is what nobody tries by hand."""
    return Limits(
        sessions_max=random.choice((2, 3, 5, 100, 100, 100)),
        session_window=random.choice((1, 3, 3, 8, 4096)),
        pending_operations_max=random.choice((3, 8, 1000, 1000)),
        waiting_queries_max=random.choice((2, 8, 1000, 1000)),
        forward_operations_max=random.choice((1, 2, 2, 4, 1000)),
        forwards_in_flight_max=random.choice((1, 2, 2, 8)),
        snapshot_piece_bytes_max=random.choice((100, 250, 600, 2000, 60_000)),
        pieces_in_flight_max=random.choice((1, 2, 2, 8)),
        catch_up_bytes_max=random.choice((100, 1000, 10_000_000)),
    )


def _number(name: str, value: str, least: int) -> int:
    if not value.isdecimal() or int(value) < least:
        raise ValueError(
            f"plan: {name}={value}. Expected a whole number from {least}, for example {_EXAMPLE}"
        )
    return int(value)


def _share(name: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(
            f"plan: {name}={value}. Expected a share from 0 to 1, for example {name}=0"
        )
    return share
