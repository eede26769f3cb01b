"""The nemesis: performs the actions of the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import ClassVar

from pbactors.ensemble import VIEW_SERVER
from pbactors.protocol.backup import Backup
from pbactors.protocol.core import Leave
from pbactors.protocol.replica import Replica
from pbactors.protocol.tool_messages import SwitchOver
from pbactors.protocol.view import Member
from pbactors.sim.actions import Action, Fault
from pbactors.sim.callers import Callers
from pbactors.sim.network import Pair
from pbactors.sim.process import Process
from pbactors.sim.world import World
from pbactors.trace import Sort

__all__ = ["Nemesis"]

_LOOK_MS = 3.0
"""How often a supervisor looks whether a process may end."""


class Nemesis:
    """Does to nodes and links what the plan says.

    Unless the plan is ruthless, it leaves out what would end the last copy of the state.

    Args:
        world: what it acts on.
        callers: the clients.
    """

    def __init__(self, world: World, callers: Callers) -> None:
        self._world = world
        self._callers = callers
        self._ended = False
        for action in world.plan.actions:
            world.agenda.at(action.at_ms, self._perform, action)

    def end(self) -> None:
        """Do nothing any more; what was begun is ended by whoever calms the world."""
        self._ended = True

    def _perform(self, action: Action) -> None:
        if self._ended:
            return
        what = self._do[action.fault](self, action, Random(f"{action.choice}"))
        if what:
            self._world.faults[action.fault.value] += 1
            self._note(f"{action.fault.value}: {what}, for {action.lasts_ms} ms")

    def _note(self, text: str) -> None:
        if self._world.recorder is not None:
            self._world.recorder.note(self._world, "", Sort.FAULT, text)

    def _later(self, action: Action, act: Callable[..., None], *arguments: object) -> None:
        """End an action when its time is over, unless everything was calmed before."""

        def end() -> None:
            if not self._ended:
                act(*arguments)

        self._world.agenda.after(action.lasts_ms, end)

    # -- whom ---------------------------------------------------------------------------------

    def _member(self, member: Member | None) -> Process | None:
        """Return the process that is this member, in this life."""
        if member is not None:
            for process in self._world.lives.get(member.name, ()):
                if process.core.member == member:
                    return process
        return None

    def _whom(self, action: Action) -> Process | None:
        """Return the replica that an action is about, if it runs."""
        view = self._world.view
        if action.whom == "primary":
            return self._member(view.primary)
        if action.whom == "backup":
            return self._member(view.backup)
        names = self._world.names
        return self._world.newest(names[action.choice % len(names)])

    def _name(self, action: Action) -> str:
        process = self._whom(action)
        names = self._world.names
        return names[action.choice % len(names)] if process is None else process.name

    def _spares(self, *dying: Process) -> bool:
        """Tell whether the state survives without these; a ruthless nemesis does not ask, once
        most operations are made.

        The view server may take a member for dead that is only cut off. Where it does so and the
        other member dies, the state is lost too.
        """
        world = self._world
        if world.plan.ruthless and self._callers.left <= world.plan.operations // 20:
            return True
        view, acked = world.view, world.record.acked
        holders = [self._member(member) for member in (view.members() if acked else view[1:2])]
        if not any(holder is None or holder in dying for holder in holders):
            return True
        left = [holder for holder in holders if holder is not None and holder not in dying]
        if not left:
            return not any(holder in dying for holder in holders)
        return all(self._well(holder) for holder in left)

    def _well(self, process: Process) -> bool:
        """Tell whether the view server hears this process, as far as links and nodes go."""
        network, view_server = self._world.network, self._world.newest(VIEW_SERVER)
        return not (
            process.former
            or process.torn
            or process.frozen
            or view_server is None
            or view_server.frozen
            or network.is_cut((process.name, VIEW_SERVER))
            or process.name not in view_server.core.status().alive
        )

    # -- nodes --------------------------------------------------------------------------------

    def _restart(self, name: str) -> None:
        if self._world.newest(name) is None:
            if name == VIEW_SERVER:
                self._world.start_view_server()
            else:
                self._world.start_replica(name)

    def _crash(self, action: Action, random: Random) -> str:
        return self._kill(action, self._whom(action))

    def _kill(self, action: Action, process: Process | None) -> str:
        if process is None or not self._spares(process):
            return ""
        self._world.crash(process)
        if action.fault is Fault.RESTART_AT_ONCE:
            self._restart(process.name)
        else:
            self._later(action, self._restart, process.name)
        return process.name

    def _crash_torn(self, action: Action, random: Random) -> str:
        process = self._whom(action)
        if process is None or not self._spares(process):
            return ""
        process.torn = True
        self._later(action, self._restart_torn, process)
        return process.name

    def _restart_torn(self, process: Process) -> None:
        self._world.crash(process)
        self._restart(process.name)

    def _crash_pair(self, action: Action, random: Random) -> str:
        view = self._world.view
        pair = [p for p in map(self._member, view.members()) if p is not None]
        if not pair or not self._spares(*pair):
            return ""
        for process in pair:
            self._world.crash(process)
            self._later(action, self._restart, process.name)
        return " and ".join(process.name for process in pair)

    def _second_life(self, action: Action, random: Random) -> str:
        process = self._whom(action)
        if process is None or process.former or not self._spares(process):
            return ""
        self._world.start_replica(process.name)
        self._later(action, self._world.crash, process)
        return process.name

    def _freeze(self, action: Action, random: Random) -> str:
        process = self._whom(action)
        return self._pause(process, action, random)

    def _pause(self, process: Process | None, action: Action, random: Random) -> str:
        if process is None or process.frozen:
            return ""
        self._world.freeze(process)
        notices = action.lasts_ms > self._world.plan.timing.dead_interval_ms / 2
        self._later(action, self._world.thaw, process, notices and random.random() < 0.7)
        return process.name

    # -- links --------------------------------------------------------------------------------

    def _everyone(self) -> list[str]:
        return [*self._world.names, VIEW_SERVER, *self._callers.names]

    def _cut(self, action: Action, pairs: list[Pair]) -> None:
        self._world.network.cut(pairs)
        self._later(action, self._world.network.mend, pairs)

    def _cut_one_way(self, action: Action, random: Random) -> str:
        one = self._name(action)
        other = random.choice([name for name in self._everyone() if name != one])
        pair = (one, other) if random.random() < 0.5 else (other, one)
        self._cut(action, [pair])
        return f"{pair[0]} to {pair[1]}"

    def _cut_link(self, action: Action, random: Random) -> str:
        one = self._name(action)
        other = random.choice([name for name in self._everyone() if name != one])
        if random.random() < 0.3:
            other = VIEW_SERVER
        self._cut(action, [(one, other), (other, one)])
        return f"{one} and {other}"

    def _isolate(self, action: Action, random: Random) -> str:
        one = self._name(action)
        self._cut(action, _between([one], [name for name in self._everyone() if name != one]))
        return one

    def _strand(self, action: Action, random: Random) -> str:
        """A node that others give up, while some client goes on talking to it."""
        company = [self._name(action), random.choice(self._callers.names)]
        self._cut(action, _between(company, [n for n in self._everyone() if n not in company]))
        return " with ".join(company)

    def _cut_view_server(self, action: Action, random: Random) -> str:
        replicas, clients = list(self._world.names), self._callers.names
        others = random.choice(([self._name(action)], replicas, [*replicas, *clients]))
        self._cut(action, _between([VIEW_SERVER], others))
        return f"from {', '.join(others)}"

    def _halve(self, action: Action, random: Random) -> str:
        one, other = self._halves(random, self._everyone())
        self._cut(action, _between(one, other))
        return f"{', '.join(one)} | {', '.join(other)}"

    def _bridge(self, action: Action, random: Random) -> str:
        """Two halves, and one node that reaches both: who reaches whom is not transitive."""
        names = self._everyone()
        bridge = names.pop(random.randrange(len(names)))
        one, other = self._halves(random, names)
        self._cut(action, _between(one, other))
        return f"{', '.join(one)} | {bridge} | {', '.join(other)}"

    def _halves(self, random: Random, names: list[str]) -> tuple[list[str], list[str]]:
        random.shuffle(names)
        middle = random.randint(1, len(names) - 1)
        return names[:middle], names[middle:]

    def _clog(self, action: Action, random: Random) -> str:
        """Clog one link after another."""
        count = random.randint(1, 4)
        share_ms = action.lasts_ms / count
        pairs = []
        for turn in range(count):
            one, other = random.sample(self._everyone(), 2)
            pairs.append(f"{one} to {other}")
            self._world.agenda.after(turn * share_ms, self._clog_one, (one, other), share_ms)
        return ", then ".join(pairs)

    def _clog_one(self, pair: Pair, lasts_ms: float) -> None:
        if not self._ended:
            self._world.network.clog(pair, self._world.agenda.now_ms + lasts_ms)

    # -- view server and clients --------------------------------------------------------------

    def _crash_view_server(self, action: Action, random: Random) -> str:
        process = self._world.newest(VIEW_SERVER)
        if process is None:
            return ""
        if action.fault is Fault.VIEW_SERVER_CRASH:
            self._world.crash(process)
            self._later(action, self._restart, VIEW_SERVER)
        else:
            process.torn = True
            self._later(action, self._restart_torn, process)
        return VIEW_SERVER

    def _pause_view_server(self, action: Action, random: Random) -> str:
        return self._pause(self._world.newest(VIEW_SERVER), action, random)

    def _suspect(self, action: Action, random: Random) -> str:
        """The view server loses its connection to a node that goes on running."""
        name = self._name(action)
        self._world.outside.lose_connection(name)
        return name

    # -- planned work, and copies that differ -------------------------------------------------

    def _cut_pair(self, action: Action, random: Random) -> str:
        """Only the link between primary and backup (R43)."""
        names = [member.name for member in self._world.view.members()]
        if len(names) < 2:
            return ""
        self._cut(action, _between(names[:1], names[1:]))
        return " and ".join(names)

    def _switch_over(self, action: Action, random: Random) -> str:
        """An operator wants another primary (R44)."""
        name = random.choice(("", self._name(action)))
        self._world.outside.ask(VIEW_SERVER, SwitchOver(name))
        return name or "to the backup"

    def _depart(self, action: Action, random: Random) -> str:
        """A node is to end in peace; it ends when it may, or when its time is over (R44), and not
        with the last copy. The other member may be dead already, or die at the same moment.
        """
        process = self._whom(action)
        if process is None or process.former:
            return ""
        backup = self._member(self._world.view.backup)
        if backup is not process and random.random() < 0.5:
            self._kill(action, backup)
        self._world.signal(process, Leave())
        self._departing(action, process, self._world.agenda.now_ms + action.lasts_ms)
        return process.name

    def _departing(self, action: Action, process: Process, until_ms: float) -> None:
        if self._ended or not process.alive:
            return
        over = process.left or self._world.agenda.now_ms >= until_ms
        if over and self._spares(process):
            self._world.crash(process)
            self._later(action, self._restart, process.name)
        else:
            self._world.agenda.after(_LOOK_MS, self._departing, action, process, until_ms)

    def _diverge(self, action: Action, random: Random) -> str:
        """The backup's results are no longer the primary's, as far as its digest tells (R50)."""
        process = self._member(self._world.view.backup)
        if process is None or process.frozen or self._world.plan.min_copies == 2:
            return ""
        role = process.core.role if isinstance(process.core, Replica) else None
        if not isinstance(role, Backup) or not role.installed:
            return ""
        role.state.digest ^= 1 + action.choice  # no two of them cancel out
        self._world.judge.corrupted(role.view.number, role.state.op)
        return process.name

    def _fail_store(self, action: Action, random: Random) -> str:
        if self._world.newest(VIEW_SERVER) is None:
            return ""
        self._world.store_fails = True  # counted when it does
        self._later(action, self._restart, VIEW_SERVER)
        self._note(f"the view store will fail, for {action.lasts_ms} ms")
        return ""

    def _crash_client(self, action: Action, random: Random) -> str:
        name = random.choice(self._callers.names)
        self._callers.crash(name, action.lasts_ms)
        return name

    def _leave_client(self, action: Action, random: Random) -> str:
        name = random.choice(self._callers.names)
        self._callers.leave(name)
        return name

    _do: ClassVar[Mapping[Fault, Callable[[Nemesis, Action, Random], str]]] = {
        Fault.CRASH: _crash,
        Fault.TORN_CRASH: _crash_torn,
        Fault.RESTART_AT_ONCE: _crash,
        Fault.CRASH_PAIR: _crash_pair,
        Fault.SECOND_LIFE: _second_life,
        Fault.FREEZE: _freeze,
        Fault.ONE_WAY_CUT: _cut_one_way,
        Fault.LINK_CUT: _cut_link,
        Fault.ISOLATION: _isolate,
        Fault.HALVES: _halve,
        Fault.STRANDED: _strand,
        Fault.PAIR_CUT: _cut_pair,
        Fault.BRIDGE: _bridge,
        Fault.VIEW_SERVER_CUT: _cut_view_server,
        Fault.CLOGS: _clog,
        Fault.VIEW_SERVER_CRASH: _crash_view_server,
        Fault.VIEW_SERVER_TORN_CRASH: _crash_view_server,
        Fault.VIEW_SERVER_PAUSE: _pause_view_server,
        Fault.FALSE_SUSPICION: _suspect,
        Fault.DIVERGENCE: _diverge,
        Fault.DEPARTURE: _depart,
        Fault.SWITCHOVER: _switch_over,
        Fault.STORE_FAILURE: _fail_store,
        Fault.CLIENT_CRASH: _crash_client,
        Fault.CLIENT_LEAVES: _leave_client,
    }


def _between(ones: list[str], others: list[str]) -> list[Pair]:
    """Return both directions between each of the ones and each of the others."""
    return [pair for one in ones for other in others for pair in ((one, other), (other, one))]
