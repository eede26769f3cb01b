"""The planted bugs: what each breaks, and who finds it how soon.

The figures are measured by ``python -m tests.planted.measure``, which also writes the table in
``docs/testing.md``. ``seed`` is the first one, counted from 0, with which the simulator finds the
bug; the test begins a little before it, so that the suite stays fast, and allows for more.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.planted.planting import Change

__all__ = ["MUTANTS", "SURVIVORS", "Mutant"]


@dataclass(frozen=True)
class Mutant:
    """A planted bug.

    Attributes:
        name: what is wrong, in a few words.
        rule: the sentence that it breaks.
        changes: in the source.
        seed: the simulator finds it with this one first, counted from 0; None if the explorer
            is the one to find it.
        search: the name of the explorer's search that finds it, in ``hunters.SEARCHES``.
        states: how many states that search looks at until then.
        survives: why nobody finds it, where nobody does.
    """

    name: str
    rule: str
    changes: tuple[Change, ...]
    seed: int | None = None
    search: str | None = None
    states: int = 0
    survives: str = ""


def change(file: str, before: str, after: str) -> Change:
    return Change(file, before, after)


VIEW_SERVICE = [
    Mutant(
        "ack from anyone",
        "R4: “A ping of that number from anyone else is no ack.”",
        (
            change(
                "view_service",
                " and member == self.view.primary\n        if is_ack",
                "\n        if is_ack",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "ack on an old number",
        "R4: “a ping of an older number is no ack.”",
        (
            change(
                "view_service",
                "and ping.number == self.view.number",
                "and ping.number <= self.view.number",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "no ack is needed for a change",
        "R4: “The view must not change until its primary has pinged with exactly its number.”",
        (
            change(
                "succession",
                "        if not acked:\n            return self._next_while_filling",
                "        if False:\n            return self._next_while_filling",
            ),
            change(
                "view",
                "        if not acked and after.primary != before.primary:",
                "        if False:",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "the ack outlives its view",
        "R4, and the trap: “the ack flag not reset at a change.”",
        (change("view_service", "self.view, self.acked = after, False", "self.view = after"),),
        seed=0,
    ),
    Mutant(
        "nobody ages",
        "R9: “Dead = silent for n ping checks.”",
        (
            change(
                "liveness",
                "server.missed = min(server.missed + 1, self._dead_pings)",
                "server.missed = min(server.missed, self._dead_pings)",
            ),
        ),
        seed=2,
    ),
    Mutant(
        "idle servers do not age",
        "R8: “Only idle servers that are alive now may be chosen.”",
        (
            change(
                "liveness",
                "        for server in self._servers.values():\n            server.missed = min",
                "        for server in list(self._servers.values())[:2]:\n            server.missed = min",
            ),
        ),
        seed=3,
    ),
    Mutant(
        "a number raised without a change",
        "R7: “A new number requires a different pair of members.”",
        (
            change(
                "succession",
                "        cause = self._why_not(view, primary, backup)\n        return cause and",
                "        cause = self._why_not(view, primary, backup)\n        if cause and chosen is None:\n            chosen = backup\n        return cause and",
            ),
        ),
        seed=2,
    ),
    Mutant(
        "a restart goes unnoticed",
        "R10: “Another incarnation under a member's name means that the member has lost its "
        "memory: dead as a member.”",
        (
            change(
                "liveness",
                "        server = self.of(member)\n        return server is None or self._dead(server)",
                "        server = self._servers.get(member.name)\n        return server is None or self._dead(server)",
            ),
        ),
        seed=1,
    ),
    Mutant(
        "a restarted backup is promoted",
        "R8: “a dead or restarted backup is never promoted.”",
        (
            change(
                "liveness",
                "        server = self.of(member)\n        return server is not None and server.heard and not self._dead(server)",
                "        server = self._servers.get(member.name)\n        return server is not None and server.heard and not self._dead(server)",
            ),
        ),
        seed=107,
    ),
    Mutant(
        "a dead backup is promoted",
        "R8: “a dead or restarted backup is never promoted.”",
        (
            change(
                "succession",
                "        if not self._liveness.living(backup):\n            return None  # both",
                "        if self._liveness.restarted(backup):\n            return None  # both",
            ),
        ),
        seed=10,
    ),
    Mutant(
        "promotion before it is heard",
        "R46: “only servers heard since may be chosen or promoted.”",
        (
            change(
                "liveness",
                "return server is not None and server.heard and not self._dead(server)",
                "return server is not None and not self._dead(server)",
            ),
        ),
        seed=107,
    ),
    Mutant(
        "a superseded life is heard",
        "R13: “A ping of a superseded incarnation changes nothing.”",
        (
            change(
                "view_service",
                "if server is not None and source.incarnation < server.incarnation:",
                "if False:",
            ),
        ),
        seed=14,
    ),
    Mutant(
        "an idle server becomes primary",
        "R3: “An idle server is never made primary.”",
        (
            change(
                "succession",
                "            return None  # both are dead",
                "            idle = next(self._liveness.candidates(), None)\n            return idle and _after(view, idle, None, Cause.KILLED, primary)\n            return None  # both are dead",
            ),
            change(
                "view",
                "        if after.primary not in before.members():",
                "        if False:",
            ),
        ),
        seed=10,
    ),
    Mutant(
        "a view is announced before it is durable",
        "R14: “Views are durable before anyone hears of them.”",
        (
            change(
                "view_service",
                "        out.persist(ViewRecord(self.cluster, after, False))",
                "        for member in after.members():\n"
                "            out.send(member.name, ViewReply(after, False, self._contract))\n"
                "        out.persist(ViewRecord(self.cluster, after, False))",
            ),
        ),
        seed=8,
    ),
    Mutant(
        "views are not stored",
        "R46: “Durable at the view server: number, members with incarnations.”",
        (
            change(
                "view_service",
                "        out.persist(ViewRecord(self.cluster, after, False))\n",
                "",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "acks are not stored",
        "R46: “Durable at the view server: … acked.”",
        (
            change(
                "view_service",
                "            out.persist(ViewRecord(self.cluster, self.view, True))\n",
                "",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "a restarted, empty server acks",
        "R25: “A server that restarted empty must not act as primary or ack its old view.”",
        (
            change(
                "view_service",
                "and member == self.view.primary\n        if is_ack",
                "and member.name == getattr(self.view.primary, 'name', None)\n        if is_ack",
            ),
            change(
                "replica",
                "self.operating = 0 if self.view.names_another_life_of(self.member) else self.view.number",
                "self.operating = self.view.number",
            ),
        ),
        seed=23,
    ),
    Mutant(
        "a ping does not clear a suspicion",
        "R49: “is void if a newer connection or ping exists.”",
        (
            change(
                "liveness",
                "        server.missed = server.suspected = 0\n        server.heard = True\n",
                "        server.missed = 0\n        server.heard = True\n",
            ),
        ),
        seed=8,
    ),
    Mutant(
        "promotion on a suspicion, whether or not the backup lives",
        "R49: “the backup is promoted only after a ping of its incarnation later than that event.”",
        (
            change(
                "succession",
                "        if not self._liveness.outlives(backup, primary):\n",
                "        if False:\n",
            ),
        ),
        seed=54,
    ),
    Mutant(
        "a view is published before it is durable",
        "R14: “Views are durable before anyone hears of them.”",
        (
            change(
                "view_service",
                "        out.persist(ViewRecord(self.cluster, after, False))\n"
                "        out.publish(self._view_reply())\n",
                "        out.publish(self._view_reply())\n"
                "        out.persist(ViewRecord(self.cluster, after, False))\n",
            ),
        ),
        seed=57,
    ),
]

REPLICA = [
    Mutant(
        "another life's messages are taken",
        "R47: “Messages between replicas name the target's incarnation too.”",
        (
            change(
                "replica",
                "        if message.target != self.member.incarnation:\n"
                '            return "meant for another life of this node"\n'
                "        if message.view > self.view.number:",
                "        if message.view > self.view.number:",
            ),
        ),
        survives="redundant: another life has another role in a view, since roles go by name and incarnation, and takes no message of that view",
    ),
    Mutant(
        "messages of an earlier view are taken",
        "R18: “A backup takes a forward only if its own view number equals the forwarder's.”",
        (change("replica", "        if message.view < self.view.number:", "        if False:"),),
        seed=113,
    ),
    Mutant(
        "messages of a later view are taken",
        "R18: “A backup takes a forward only if its own view number equals the forwarder's.”",
        (
            change(
                "replica",
                '            self._ask(out)\n            return "of a later view"',
                "            self._ask(out)",
            ),
        ),
        survives="redundant: who does not know the view yet has no role in it, and what an earlier backup confirms names its own view and is refused",
    ),
    Mutant(
        "forwards are checked by the sender's name",
        "R18: “Compare numbers, not the sender's name.”",
        (
            change(
                "replica",
                '''        """Execute forwarded commands, as backup of the same view (R18)."""
        reason = self._ignore_peer(message, out)
''',
                '''        """Execute forwarded commands, as backup of the same view (R18)."""
        known = self.view.primary is not None and self.view.primary.name == source.node
        reason = None if known else "not from the primary"
''',
            ),
        ),
        search="primary again after a forward was lost",
        states=53,
    ),
    Mutant(
        "the transfer is not bound to a view",
        "R23: “Transfers … are bound to a view number.”",
        (
            change(
                "replica",
                '''        """Gather the state, as backup of the same view."""
        reason = self._ignore_peer(message, out)
''',
                '''        """Gather the state, as backup of the same view."""
        reason = None
''',
            ),
        ),
        search="pipelined",
        states=128808,
    ),
    Mutant(
        "confirmations are not bound to a view",
        "R23: “Transfers, forwards and all their confirmations are bound to a view number.”",
        (
            change(
                "replica",
                '''        """Commit what the backup of this view has confirmed."""
        reason = self._ignore_peer(message, out) or self._ignore_backup(source)
''',
                '''        """Commit what the backup of this view has confirmed."""
        reason = self._ignore_backup(source)
''',
            ),
        ),
        seed=113,
    ),
    Mutant(
        "the view is acked before the transfer",
        "R15: “A primary operates in a view with a backup only once that backup holds the complete "
        "state.”",
        (
            change(
                "replica",
                "        if self.role.operating:\n            self._join(out)",
                "        self._join(out)",
            ),
            change(
                "replica",
                "            if self.role.operating != (self.operating == self.view.number):",
                "            if False:",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "marks outlive a deposition",
        "R39: “becoming anything else drops them, unexecuted, and marks restart from the executed "
        "table.”",
        (
            change(
                "replica",
                "            self.role.leave(self.view, out)\n",
                "            self.role.leave(self.view, out)\n            self._former = dict(self.role._intake._taken)\n",
            ),
            change(
                "replica",
                "            self.role = Primary(\n                self.view, self.state, self._limits, self._stamps, self._min_copies, swapped\n            )\n",
                "            self.role = Primary(\n                self.view, self.state, self._limits, self._stamps, self._min_copies, swapped\n            )\n            self.role._intake._taken.update(getattr(self, '_former', {}))\n",
            ),
        ),
        seed=30,
    ),
    Mutant(
        "pending commands outlive a deposition",
        "R39: “pending commands and queries belong to one unbroken time as primary.”",
        (
            change(
                "replica",
                "            self.role.leave(self.view, out)\n",
                "            self.role.leave(self.view, out)\n            self._former = self.role\n",
            ),
            change(
                "replica",
                "            self.role = Primary(\n                self.view, self.state, self._limits, self._stamps, self._min_copies, swapped\n            )\n",
                "            self.role = Primary(\n                self.view, self.state, self._limits, self._stamps, self._min_copies, swapped\n            )\n            former = getattr(self, '_former', None)\n            if former is not None and not former._log.is_executed:\n                self.role._log = former._log\n",
            ),
        ),
        seed=26,
    ),
    Mutant(
        "nothing is sent again",
        "R17: “the primary keeps trying.”",
        (
            change(
                "replica",
                "            out.set_timer(Timer.RESEND, self._timing.resend_interval_ms)\n",
                "            pass\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "an older view is adopted",
        "R30: “Everyone adopts only a higher number.”",
        (
            change(
                "view_follower",
                "        if reply.view.number < self.view.number:",
                "        if False:",
            ),
        ),
        seed=2,
    ),
]

PRIMARY = [
    Mutant(
        "local reads",
        "R37: “A query is answered only after the echo of a number first sent after the query "
        "arrived.”",
        (
            change(
                "primary",
                "        alone, echo = self.alone,",
                "        alone, echo = True,",
            ),
        ),
        search="a deposed primary",
        states=1284,
    ),
    Mutant(
        "an older confirm number proves a query",
        "R37: “a number first sent *after the query arrived*.”",
        (
            change(
                "primary",
                "            waiting.confirm = link.confirm\n",
                "            waiting.confirm = link.confirm - 1\n",
            ),
        ),
        search="a deposed primary that was asked before",
        states=611,
    ),
    Mutant(
        "echoes outlive a view",
        "R37: “After any view change unanswered queries start again.”",
        (
            change(
                "backup_link",
                "        self.echo = 0\n",
                "        self.echo = 10\n",
            ),
        ),
        search="a deposed primary",
        states=1284,
    ),
    Mutant(
        "answered before the backup has it",
        "R16: “every command is executed by the backup before the primary executes and answers it.”",
        (
            change(
                "primary",
                "            self._send_forwards(self._link, out, orders=not self.leaves_role)\n",
                "            self._send_forwards(self._link, out, orders=not self.leaves_role)\n            self._commit(self._log.end)\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "giving up on a silent backup",
        "R17: “It neither answers alone nor reports failure as final.”",
        (
            change(
                "primary",
                "            self._log.forward_again()\n            if transfer",
                "            self._log.forward_again()\n            if self.operating:\n                link.sent_end = self._log.end\n                link.echo = link.confirm\n                self._commit(self._log.end)\n            if transfer",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "the transfer is skipped for a former backup",
        "R22: “Every new view that has a backup starts with a transfer, also when the newcomer was "
        "a backup some views ago.”",
        (
            change(
                "primary",
                "        self.operating = view.backup is None\n",
                "        known = self.__dict__.setdefault('_known', set())\n        self.operating = view.backup is None or view.backup in known\n        known.add(view.backup)\n",
            ),
            change(
                "primary",
                "            self._filling = self._new_filling(1, keeps_own)\n",
                "            if not self.operating:\n                self._filling = self._new_filling(1, keeps_own)\n",
            ),
            change(
                "replica",
                "                self.role = Backup(self.view, self.state, self._was_primary(before))\n",
                "                known = self.state.op > 0\n                self.role = Backup(self.view, self.state, self._was_primary(before))\n                self.role.installed = known\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "stamps of the local clock alone",
        "R51: “a new primary stamps max(clock, last + 1).”",
        (
            change(
                "command_log",
                "self._stamp = self._stamps(self._stamp)",
                "self._stamp = self._stamps(b'')",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "a new stamp for each sending",
        "R51: “resends are identical.”",
        (
            change(
                "backup_link",
                "                batch.first,\n                batch.stamp,\n",
                "                batch.first,\n                batch.stamp[:8] + bytes([self.confirm % 256]) * 8 if batch.operations else b'',\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "a new primary forgets the last stamp",
        "R51: “The last executed stamp is replicated state, in snapshots.”",
        (
            change(
                "command_log",
                "        self._stamp = stamp\n",
                "        self._stamp = b''\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "the stamp is left out of the transfer",
        "R51: “The last executed stamp is replicated state, in snapshots.”",
        (
            change(
                "state",
                "        self.machine.loaded()\n        self.op = op\n        self.stamp = stamp\n",
                "        self.machine.loaded()\n        self.op = op\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "a command is executed before a query that precedes it is answered",
        "R37: “from the state after the commands it must see.”",
        (
            change(
                "intake",
                "                item.position = end + len(operations)\n",
                "                item.position = end\n",
            ),
        ),
        seed=0,
    ),
]

BACKUP = [
    Mutant(
        "an installed state is replaced by the transfer",
        "R34: “A backup with an installed state in view i never discards it in view i.”",
        (
            change(
                "backup",
                "        if self.installed:  # what is installed is never discarded",
                "        if False:  # what is installed is never discarded",
            ),
        ),
        seed=1,
    ),
    Mutant(
        "pieces of two transfers are mixed",
        "R34: “pieces of different attempts are never mixed.”",
        (
            change(
                "replica",
                "                self.role = Backup(self.view, self.state, self._was_primary(before))\n",
                "                former = self.role\n                self.role = Backup(self.view, self.state, self._was_primary(before))\n                self.role._gathering = getattr(former, '_gathering', None)\n",
            ),
        ),
        seed=102,
    ),
    Mutant(
        "forwards are executed in the order of arrival",
        "R24: “The backup executes in the primary's order, whatever order messages arrive in.”",
        (
            change(
                "backup",
                "            skip < 0 and forward.operations\n",
                "            False\n",
            ),
        ),
        seed=4,
    ),
    Mutant(
        "repeats are filtered at the primary alone",
        "R24: “The backup … filters repeats itself.”",
        (change("backup", "forward.operations[max(skip, 0) :]", "forward.operations"),),
        seed=0,
    ),
    Mutant(
        "forwards are executed before the state is installed",
        "R20: “Each command is wholly before or wholly after a state transfer.”",
        (change("backup", "        if not self.installed:\n", "        if False:\n"),),
        survives="redundant as long as nothing is forwarded before the backup has confirmed that it is installed; a primary that serves while it fills forwards its log only then (R33)",
    ),
    Mutant(
        "more is confirmed than executed",
        "R34: “my installed state holds every command up to n.”",
        (
            change(
                "backup",
                "                    self.state.op,\n                    self._echo,",
                "                    self.state.op + 1,\n                    self._echo,",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "what is forwarded is confirmed, and executed later",
        "R16: “every command is executed by the backup before the primary executes and answers it.”",
        (
            change(
                "backup",
                "        operations = forward.operations[max(skip, 0) :]\n        if operations:\n            self.state.execute(forward.stamp, operations)\n",
                "        late = self.__dict__.setdefault('_late', [])\n        for stamp, operation in late:\n            self.state.execute(stamp, (operation,))\n        late.clear()\n        skip = self.state.op + 1 - forward.first\n        late += [(forward.stamp, o) for o in forward.operations[max(skip, 0) :]]\n",
            ),
            change(
                "backup",
                "                    self.state.op,\n                    self._echo,",
                "                    self.state.op + len(self.__dict__.get('_late', [])),\n                    self._echo,",
            ),
        ),
        seed=1,
    ),
    Mutant(
        "a snapshot labelled with an op number that it has not executed",
        "R53: “A snapshot carries the last *executed* op number.”",
        (
            change(
                "state_transfer",
                "        self.base = state.op\n",
                "        self.base = state.op + 1\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "a piece that is not the next is taken",
        "R23: “safe to lose, repeat, delay and reorder.”",
        (
            change(
                "state_transfer",
                "        if piece.index != self.received:\n            return None\n",
                "        if piece.index < self.received:\n            return None\n",
            ),
        ),
        seed=2,
    ),
    Mutant(
        "the session table is left out of the transfer",
        "R21: “The transfer carries the session table with the data, with the results.”",
        (
            change(
                "state",
                "    for body in sessions:\n        yield Section.SESSIONS, body\n",
                "",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "results are left out of the transfer",
        "R21: “The transfer carries the session table with the data, with the results.”",
        (
            change(
                "sessions",
                "        for number, outcome in entry.results.items():\n            yield (session, number, outcome), 24 + len(outcome)\n",
                "",
            ),
        ),
        seed=0,
    ),
]

SESSIONS = [
    Mutant(
        "results are dropped too early",
        "R32: “Results are dropped when the client has said it has them.”",
        (
            change(
                "sessions",
                "            if floor > entry.floor:\n                entry.raise_floor(floor)\n",
                "            entry.raise_floor(entry.last)\n",
            ),
        ),
        seed=4,
    ),
    Mutant(
        "gaps are accepted in a session",
        "R38: “A primary takes command n of a session exactly when n = last taken + 1.”",
        (
            change(
                "intake",
                "            if number == taken + 1:\n",
                "            if number > taken:\n",
            ),
            change("sessions", "all(map(eq,", "all(map(int.__ge__,"),
        ),
        seed=0,
    ),
    Mutant(
        "the table does not filter repeats",
        "R29: “they take effect in their order, each at most once.”",
        (
            change("sessions", "return in_order and", "return"),
            change(
                "intake",
                "            self._taken[session] = taken\n",
                "            pass\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "an unknown session is made again by a delayed request",
        "R41: “A request of an unknown session is refused and creates nothing.”",
        (
            change(
                "intake",
                "        if entry is None:\n"
                "            self._replies.session_gone(source, session)\n"
                "            return\n"
                "        limits, gathered",
                "        if entry is None:\n"
                "            from pbactors.protocol.sessions import Session\n"
                "            entry = Session(session.to_bytes(16, 'big'))\n"
                "            self._state.sessions._sessions[session] = entry\n"
                "            self._state.sessions._by_token[entry.token] = session\n"
                "        limits, gathered",
            ),
        ),
        seed=2,
    ),
    Mutant(
        "each repeat of an opening opens a session",
        "R41: “while that session stands, a repeat is answered with its id.”",
        (
            change(
                "sessions",
                "        known = self._by_token.get(token)\n        if known is not None:",
                "        known = self._by_token.get(token)\n        if False:",
            ),
            change(
                "intake",
                "        known = self._state.sessions.opened_by(token)\n        if known is not None:",
                "        known = self._state.sessions.opened_by(token)\n        if False:",
            ),
        ),
        seed=3,
    ),
    Mutant(
        "sessions are evicted in another order at the copy that was filled",
        "R41: “Eviction is a replicated step … the same on both copies.”",
        (
            change(
                "sessions",
                "        self._sessions.move_to_end(session)  # now",
                "        if not self.__dict__.get('_filled'):\n"
                "            self._sessions.move_to_end(session)  # now",
            ),
            change(
                "sessions",
                "        rows = values.unpack(piece)\n",
                "        rows = values.unpack(piece)\n        self.__dict__['_filled'] = True\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "a client starts commands again in another session",
        "R41: “SessionExpired: may have happened.”",
        (
            change(
                "client",
                "        lost = [call for call, _ in self._commands.values() "
                "if call != CLOSING]\n        self._forget_session()\n",
                "        lost: list[int] = []\n"
                "        for call, body in self._commands.values():\n"
                "            if call != CLOSING:\n"
                "                self._waiting[call] = (False, body)\n"
                "        self._forget_session()\n",
            ),
        ),
        seed=3,
    ),
    Mutant(
        "a call that was given up leaves a gap",
        "R40: “a call whose deadline passed goes on being retried in the background, so that the "
        "session has no gap.”",
        (
            change(
                "client",
                "        self._queries.pop(call, None)\n",
                "        self._queries.pop(call, None)\n"
                "        for number, (known, _) in list(self._commands.items()):\n"
                "            if known == call:\n"
                "                del self._commands[number]\n",
            ),
        ),
        seed=26,
    ),
    Mutant(
        "a client says too early that it has results",
        "R32: “Results are dropped when the client has said it has them (its *floor*).”",
        (
            change(
                "client",
                "        return next(iter(self._commands), self._last_number + 1)\n",
                "        return max(self._last_number, 1)\n",
            ),
        ),
        seed=0,
    ),
]

CHANGES = [
    Mutant(
        "it joins a view before everything executed is confirmed",
        "R33: “waits until the backup has confirmed every command it has *executed*, answered or not; then pings i.”",
        (
            change(
                "primary",
                "        if confirm.op < self.state.op:\n            return False\n",
                "",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "it answers alone after it has joined",
        "R33: “after it never in view i, whatever becomes of the backup or of the ping.”",
        (
            change(
                "primary",
                "        return self._link is None and self._min_copies == 1\n",
                "        return self._min_copies == 1\n",
            ),
            change(
                "primary",
                "            self._send_forwards(self._link, out, orders=not self.leaves_role)\n",
                "            self._serve_alone(None)\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "it answers alone where two copies are wanted",
        "R33: “With min_copies = 2 it does not answer alone at all.”",
        (
            change(
                "primary",
                "        alone = self._min_copies == 1 and (",
                "        alone = bool(self._min_copies) and (",
            ),
        ),
        seed=10,
    ),
    Mutant(
        "it goes on answering alone while it finishes",
        "R33: “To finish, it first stops answering alone.”",
        (
            change(
                "filling",
                "        self.alone = False\n\n    def give_up",
                "        pass\n\n    def give_up",
            ),
            change(
                "primary",
                "orders=not filling.alone)",
                "orders=True)",
            ),
        ),
        survives="redundant: the view is joined in the very step in which everything executed is confirmed; under load it would not come to that for long",
    ),
    Mutant(
        "what is executed alone is not kept for the backup",
        "R33: “streams the commands that came after the snapshot behind it.”",
        (
            change(
                "primary",
                "        if filling is None or filling.given_up:  # else",
                "        if True:  # else",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "the digest is not compared",
        "R50: “The primary compares the backup's chained digest of results before answering.”",
        (
            change(
                "primary",
                "            if self.state.digest != confirm.digest:\n",
                "            if False:\n",
            ),
        ),
        seed=11,
    ),
    Mutant(
        "it goes on answering after a mismatch",
        "R50: “From the first mismatch on it answers nothing until a later view.”",
        (
            change(
                "primary",
                "        if self._diverged:\n            return 0\n",
                "",
            ),
        ),
        seed=21,
    ),
    Mutant(
        "known results are answered before the view is joined",
        "R33: “To finish, it first stops answering alone; then waits.”",
        (
            change(
                "primary",
                "            return 1 if self.alone else 0\n",
                "            return 1 if self.alone else 2\n",
            ),
        ),
        seed=19,
    ),
    Mutant(
        "a former primary keeps a state that is another",
        "R45: “and only if its chained digest at E equals the new primary's.”",
        (
            change(
                "backup",
                "        if self._was_primary and held == (piece.base, piece.digest):\n",
                "        if self._was_primary:\n",
            ),
        ),
        survives="no run has a former primary whose state differs under the same op number; `test_R45_another_digest_makes_a_full_transfer` holds the rule",
    ),
    Mutant(
        "anybody keeps the state that it has",
        "R45: “Only the primary of the acked view i … may be given the commands after E instead of a whole state.”",
        (
            change(
                "backup",
                "        if self._was_primary and held == (piece.base, piece.digest):\n",
                "        if True:\n",
            ),
            change(
                "replica",
                "            swapped = self.view.backup is not None and self.view.backup == before.primary\n",
                "            swapped = self.view.backup is not None\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "it hands over before its backup holds everything",
        'R44: “drains forwards and queries, hears \\"I hold everything through E\\" from the backup.”',
        (
            change(
                "primary",
                "        if not self.leaves_role or not self._log.is_executed or self._queries:\n",
                "        if True:\n            return self.leaves_role\n        if True:\n",
            ),
        ),
        survives="costs time only: what is not confirmed was answered to nobody, is dropped with the role, and sent again by its client",
    ),
    Mutant(
        "it hands over to a backup that it has not heard since",
        'R44: “drains forwards and queries, hears "I hold everything through E" from the backup.”',
        (
            change(
                "primary",
                "        return not self._is_parting()\n",
                "        return True\n",
            ),
        ),
        seed=233,
    ),
    Mutant(
        "a backup that is not heard takes over",
        "R44, R46: “only servers heard since may be chosen or promoted.”",
        (
            change(
                "succession",
                "        if not self._stays(backup):\n",
                "        if False:\n",
            ),
        ),
        seed=325,
    ),
    Mutant(
        "a report makes a filling backup primary",
        "R35: “It never permits a promotion.”",
        (
            change(
                "succession",
                "        return self._next_backup(view, primary) if server.filling == view.number else None",
                "        if self._report(view) and view.backup is not None:\n            return self._swap(view, primary, view.backup)\n        return self._next_backup(view, primary) if server.filling == view.number else None",
            ),
            change(
                "view",
                "        if not acked and after.primary != before.primary:",
                "        if False:",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "a report about another view counts",
        "R43: “counts only … for the current number.”",
        (
            change(
                "succession",
                "        is_current = view.number in (server.number, server.filling)\n        return Report(server.report) if is_current else Report.NONE",
                "        return Report(server.report)",
            ),
        ),
        survives="costs a backup that was well: the report still names that backup's incarnation, and never promotes anybody",
    ),
    Mutant(
        "who leaves is chosen as backup",
        "R44: “A node that leaves in peace is not waited for.”",
        (
            change(
                "liveness",
                "            if self.living(member) and not server.leaving:",
                "            if self.living(member):",
            ),
        ),
        seed=11,
    ),
    Mutant(
        "a snapshot reads sessions that change",
        "R20: “Each command is wholly before or wholly after a state transfer.”",
        (
            change(
                "sessions",
                "        if session in self._lent:\n",
                "        if False:\n",
            ),
        ),
        seed=35,
    ),
    Mutant(
        "the digest is left out of the transfer",
        "R50: “chained digest of results”; copies begin with the same one.",
        (
            change(
                "state",
                "        self.digest = digest\n\n    def clone",
                "        pass\n\n    def clone",
            ),
        ),
        seed=1,
    ),
]

_ALL = (*VIEW_SERVICE, *REPLICA, *PRIMARY, *BACKUP, *SESSIONS, *CHANGES)
MUTANTS = [mutant for mutant in _ALL if not mutant.survives]
SURVIVORS = [mutant for mutant in _ALL if mutant.survives]
