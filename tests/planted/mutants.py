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
                "            and (source.node, source.incarnation) == self.view.primary\n",
                "",
            ),
        ),
        seed=3,
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
                "view_service",
                "        if not self.acked:\n            return self._next_backup_while_filling",
                "        if False:\n            return self._next_backup_while_filling",
            ),
            change(
                "view",
                "        if not acked and after.primary != before.primary:",
                "        if False:",
            ),
        ),
        seed=3,
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
                "view_service",
                "server.missed = min(server.missed + 1, self._timing.dead_pings)",
                "server.missed = min(server.missed, self._timing.dead_pings)",
            ),
        ),
        seed=50,
    ),
    Mutant(
        "idle servers do not age",
        "R8: “Only idle servers that are alive now may be chosen.”",
        (
            change(
                "view_service",
                "        for server in self._servers.values():\n            server.missed = min",
                "        for server in [s for n, s in self._servers.items() if n in\n"
                "                       [m.name for m in self.view.members()]]:\n"
                "            server.missed = min",
            ),
        ),
        seed=3,
    ),
    Mutant(
        "a number raised without a change",
        "R7: “A new number requires a different pair of members.”",
        (
            change(
                "view_service",
                "        if chosen == backup:\n            return None",
                "        if False:\n            return None",
            ),
        ),
        seed=3,
    ),
    Mutant(
        "a restart goes unnoticed",
        "R10: “Another incarnation under a member's name means that the member has lost its "
        "memory: dead as a member.”",
        (
            change(
                "view_service",
                "        server = self._servers.get(member.name)\n"
                "        return server is None or server.incarnation != member.incarnation or "
                "self._dead(server)",
                "        server = self._servers.get(member.name)\n"
                "        return server is None or self._dead(server)",
            ),
        ),
        seed=1,
    ),
    Mutant(
        "a restarted backup is promoted",
        "R8: “a dead or restarted backup is never promoted.”",
        (
            change(
                "view_service",
                "            and server.incarnation == member.incarnation\n"
                "            and not self._dead(server)",
                "            and not self._dead(server)",
            ),
        ),
        search="a pair",
        states=868,
    ),
    Mutant(
        "a dead backup is promoted",
        "R8: “a dead or restarted backup is never promoted.”",
        (
            change(
                "view_service",
                "            if not self._living(view.backup):\n                return None",
                "            if self._restarted(view.backup):\n                return None",
            ),
        ),
        seed=3,
    ),
    Mutant(
        "promotion before it is heard",
        "R46: “only servers heard since may be chosen or promoted.”",
        (change("view_service", "            and server.heard\n", ""),),
        seed=43,
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
        seed=12,
    ),
    Mutant(
        "an idle server becomes primary",
        "R3: “An idle server is never made primary.”",
        (
            change(
                "view_service",
                "                return None  # both are dead",
                "                return View(view.number + 1, self._choose_backup(view.primary), None)"
                "  # both are dead",
            ),
            change(
                "view", "        if after.primary not in before.members():", "        if False:"
            ),
        ),
        seed=3,
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
        seed=52,
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
                "and (source.node, source.incarnation) == self.view.primary",
                "and source.node == getattr(self.view.primary, 'name', None)",
            ),
            change(
                "replica",
                "self.operating = 0 if self.view.names_another_life_of(self.member) else "
                "self.view.number",
                "self.operating = self.view.number",
            ),
        ),
        seed=4,
    ),
    Mutant(
        "a ping does not clear a suspicion",
        "R49: “is void if a newer connection or ping exists.”",
        (
            change(
                "view_service",
                "        server.missed = server.suspected = 0\n        server.heard = True\n",
                "        server.missed = 0\n        server.heard = True\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "promotion on a suspicion, whether or not the backup lives",
        "R49: “the backup is promoted only after a ping of its incarnation later than that event.”",
        (
            change(
                "view_service",
                "            if not self.outlives(view.backup, view.primary):\n",
                "            if False:\n",
            ),
        ),
        search="a suspicion",
        states=102,
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
        seed=11,
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
        seed=59,
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
        states=41,
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
        seed=40,
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
        seed=59,
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
                "            self.role.leave(self.view, out)\n"
                "            self._former = dict(self.role._intake._taken)\n",
            ),
            change(
                "replica",
                "            self.role = Primary(self.view, self.state, self._limits, self._stamps)\n",
                "            self.role = Primary(self.view, self.state, self._limits, self._stamps)\n"
                "            self.role._intake._taken.update(getattr(self, '_former', {}))\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "pending commands outlive a deposition",
        "R39: “pending commands and queries belong to one unbroken time as primary.”",
        (
            change(
                "replica",
                "            self.role.leave(self.view, out)\n",
                "            self.role.leave(self.view, out)\n"
                "            self._former = self.role\n",
            ),
            change(
                "replica",
                "            self.role = Primary(self.view, self.state, self._limits, self._stamps)\n",
                "            self.role = Primary(self.view, self.state, self._limits, self._stamps)\n"
                "            former = getattr(self, '_former', None)\n"
                "            if former is not None and former._ordered:\n"
                "                self.role._ordered = former._ordered\n"
                "                self.role._ordered_end = former._ordered_end\n",
            ),
        ),
        seed=0,
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
        seed=1,
    ),
]

PRIMARY = [
    Mutant(
        "local reads",
        "R37: “A query is answered only after the echo of a number first sent after the query "
        "arrived.”",
        (
            change(
                "primary", "        alone = self.view.backup is None\n", "        alone = True\n"
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
                "            waiting.confirm = confirm\n",
                "            waiting.confirm = self._confirm\n",
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
                "primary",
                "        self._confirm = self._echo = 0\n        self._repeat = False\n        for",
                "        self._confirm = 0\n        self._repeat = False\n        for",
            ),
        ),
        search="deposed in a later view than it was asked in",
        states=974,
    ),
    Mutant(
        "answered before the backup has it",
        "R16: “every command is executed by the backup before the primary executes and answers it.”",
        (
            change(
                "primary",
                "            self._send_forwards(out)\n        self._replies",
                "            self._send_forwards(out)\n"
                "            self._commit(self._ordered_end)\n        self._replies",
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
                "            self._forwarded = 0\n            self._repeat = True\n",
                "            self._forwarded = 0\n            self._repeat = True\n"
                "            if self.operating:\n"
                "                self._sent_end = self._ordered_end\n"
                "                self._echo = self._confirm\n"
                "                self._commit(self._ordered_end)\n",
            ),
        ),
        seed=2,
    ),
    Mutant(
        "the transfer is skipped for a former backup",
        "R22: “Every new view that has a backup starts with a transfer, also when the newcomer was "
        "a backup some views ago.”",
        (
            change(
                "primary",
                "        self.operating = view.backup is None\n",
                "        known = self.__dict__.setdefault('_known', set())\n"
                "        self.operating = view.backup is None or view.backup in known\n"
                "        known.add(view.backup)\n",
            ),
            change(
                "primary",
                "        if view.backup is not None:\n            self._transfer = OutgoingTransfer(",
                "        if view.backup is not None and not self.operating:\n"
                "            self._transfer = OutgoingTransfer(",
            ),
            change(
                "replica",
                "                self.role = Backup(self.view, self.state)\n",
                "                known = self.state.op > 0\n"
                "                self.role = Backup(self.view, self.state)\n"
                "                self.role.installed = known\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "stamps of the local clock alone",
        "R51: “a new primary stamps max(clock, last + 1).”",
        (
            change(
                "primary",
                "self._ordered_stamp = self._stamps(self._ordered_stamp)",
                'self._ordered_stamp = self._stamps(b"")',
            ),
        ),
        seed=0,
    ),
    Mutant(
        "a new stamp for each sending",
        "R51: “resends are identical.”",
        (
            change(
                "primary",
                "                batch.first,\n                batch.stamp,\n",
                "                batch.first,\n"
                "                self._stamps(batch.stamp) if batch.operations else b'',\n",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "a new primary forgets the last stamp",
        "R51: “The last executed stamp is replicated state, in snapshots.”",
        (
            change(
                "primary",
                "        self._ordered_stamp = state.stamp\n",
                '        self._ordered_stamp = b""\n',
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
                "primary",
                "                item.position = self._ordered_end + len(operations)\n",
                "                item.position = self._ordered_end\n",
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
                "                self.role = Backup(self.view, self.state)\n",
                "                former = self.role\n"
                "                self.role = Backup(self.view, self.state)\n"
                "                self.role._gathering = getattr(former, '_gathering', None)\n",
            ),
        ),
        seed=3,
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
        seed=3,
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
        survives="redundant as long as nothing is forwarded before the backup has confirmed that it is installed; needed once a primary serves while it fills (R33)",
    ),
    Mutant(
        "more is confirmed than executed",
        "R34: “my installed state holds every command up to n.”",
        (
            change(
                "backup",
                "primary.incarnation, self.state.op, self._echo",
                "primary.incarnation, self.state.op + 1, self._echo",
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
                "        for operation in forward.operations[max(skip, 0) :]:\n"
                "            self.state.execute(forward.stamp, operation)\n",
                "        late = self.__dict__.setdefault('_late', [])\n"
                "        for stamp, operation in late:\n"
                "            self.state.execute(stamp, operation)\n"
                "        late.clear()\n"
                "        skip = self.state.op + 1 - forward.first\n"
                "        late += [(forward.stamp, o) for o in forward.operations[max(skip, 0) :]]\n",
            ),
            change(
                "backup",
                "primary.incarnation, self.state.op, self._echo",
                "primary.incarnation, self.state.op + len(self.__dict__.get('_late', [])), "
                "self._echo",
            ),
        ),
        seed=0,
    ),
    Mutant(
        "a snapshot labelled with an op number that it has not executed",
        "R53: “A snapshot carries the last *executed* op number.”",
        (
            change(
                "state_transfer",
                "        self.base = state.op\n        self._source",
                "        self.base = state.op + 1\n        self._source",
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
        seed=4,
    ),
    Mutant(
        "the session table is left out of the transfer",
        "R21: “The transfer carries the session table with the data, with the results.”",
        (
            change(
                "state",
                "        for body in self.sessions.snapshot(piece_bytes_max):\n"
                "            yield Section.SESSIONS, body\n",
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
                "            for number, outcome in entry.results.items():\n"
                "                yield (session, number, outcome), 24 + len(outcome)\n",
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
                "        entry.raise_floor(floor)\n",
                "        entry.raise_floor(number)\n",
            ),
        ),
        seed=7,
    ),
    Mutant(
        "gaps are accepted in a session",
        "R38: “A primary takes command n of a session exactly when n = last taken + 1.”",
        (
            change("intake", "        elif number != taken + 1:\n", "        elif False:\n"),
            change("sessions", "        if number != entry.last + 1:\n", "        if False:\n"),
        ),
        seed=0,
    ),
    Mutant(
        "the table does not filter repeats",
        "R29: “they take effect in their order, each at most once.”",
        (
            change(
                "sessions",
                "        if number <= entry.last:  # a repeat",
                "        if False:  # a repeat",
            ),
            change("sessions", "        if number != entry.last + 1:\n", "        if False:\n"),
            change("intake", "            self._taken[session] = number\n", "            pass\n"),
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
                "        if number < entry.floor:",
                "        if entry is None:\n"
                "            from pbactors.protocol.sessions import Session\n"
                "            entry = Session(session.to_bytes(16, 'big'))\n"
                "            self._state.sessions._sessions[session] = entry\n"
                "            self._state.sessions._by_token[entry.token] = session\n"
                "        if number < entry.floor:",
            ),
        ),
        seed=5,
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
        seed=5,
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
                "        lost = [call for call, kind, _ in self._commands.values() "
                "if kind is Kind.CALL]\n        self._forget_session()\n",
                "        lost: list[int] = []\n"
                "        for call, kind, body in self._commands.values():\n"
                "            if kind is Kind.CALL:\n"
                "                self._waiting[call] = (False, body)\n"
                "        self._forget_session()\n",
            ),
        ),
        seed=5,
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
                "        for number, (known, _, _) in list(self._commands.items()):\n"
                "            if known == call:\n"
                "                del self._commands[number]\n",
            ),
        ),
        seed=1,
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

_ALL = (*VIEW_SERVICE, *REPLICA, *PRIMARY, *BACKUP, *SESSIONS)
MUTANTS = [mutant for mutant in _ALL if not mutant.survives]
SURVIVORS = [mutant for mutant in _ALL if mutant.survives]
