"""The view service against the cases of two public suites, MIT's (MV) and dslabs' (DV)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pbactors.protocol.core import Emit
from pbactors.protocol.events import RoleChanged

from .hand_driven import Named, Servers, acknowledged_pair

DEAD_PINGS = 5  # the dead interval of the MIT suite is five ping intervals
ROUNDS = DEAD_PINGS * 2


@pytest.fixture(scope="class")
def servers() -> Servers:
    return Servers(dead_pings=DEAD_PINGS)


class TestMIT:
    """One function, run in order on one view server; each starts where the last one ended."""

    @staticmethod
    def rounds(servers: Servers, ping: Callable[[], None], until: Callable[[], bool]) -> None:
        """Up to ten rounds of pings, a ping check after each, until something is so."""
        for _ in range(ROUNDS):
            ping()
            if until():
                return
            servers.check()

    @staticmethod
    def expect(servers: Servers, view: Named) -> None:
        """The view is this, and the primary-only helper agrees."""
        assert servers.get() == view
        assert servers.core.view.number == servers.record.view.number

    def test_MV0_no_primary_at_start(self, servers: Servers) -> None:
        """Set-up: fresh view server, nobody has pinged. Assert: primary is empty."""
        assert servers.get() == (None, None, 0)

    def test_MV1_first_primary(self, servers: Servers) -> None:
        """1 pings with number 0, up to 10 times P apart, until the reply names it. Exactly
        (1, none, 1).
        """
        self.rounds(servers, lambda: _do(servers.ping("1", 0)), lambda: servers.get()[0] == "1")
        self.expect(servers, ("1", None, 1))

    def test_MV2_first_backup(self, servers: Servers) -> None:
        """1 pings 1 (the ack), 2 pings 0, until 2 sees itself as backup: (1, 2, previous+1)."""

        def ping() -> None:
            servers.ping("1", 1)
            servers.ping("2", 0)

        self.rounds(servers, ping, lambda: servers.get()[1] == "2")
        self.expect(servers, ("1", "2", 2))

    def test_MV3_backup_takes_over_if_primary_fails(self, servers: Servers) -> None:
        """1 pings 2 once (ack), then falls silent; only 2 pings its view: (2, none,
        previous+1).
        """
        servers.ping("1", 2)
        self.rounds(servers, lambda: _do(servers.ping("2")), lambda: servers.get()[0] == "2")
        self.expect(servers, ("2", None, 3))

    def test_MV4_restarted_server_becomes_backup(self, servers: Servers) -> None:
        """2 acks; 1 comes back pinging 0 while 2 keeps pinging: (2, 1, previous+1)."""

        def ping() -> None:
            servers.ping("1", 0)
            servers.ping("2")

        servers.ping("2", 3)
        self.rounds(servers, ping, lambda: servers.get()[1] == "1")
        self.expect(servers, ("2", "1", 4))

    def test_MV7_dead_backup_is_removed_from_view(self, servers: Servers) -> None:
        """From an acked view with primary 3 and a backup: only 3 pings, echoing the current
        number, for 15 rounds. Assert: primary 3, no backup.
        """
        self._make_3_primary(servers)
        number = servers.get()[2]
        for _ in range(3 * DEAD_PINGS):
            servers.ping("3")
            servers.check()
        assert servers.get() == ("3", None, number + 1)

    def _make_3_primary(self, servers: Servers) -> None:
        """Stage what a later case of the same function does: 2 dies, then 1 restarts."""
        servers.ping("2", 4)
        self.rounds(
            servers,
            lambda: _do(servers.ping("1"), servers.ping("3")),
            lambda: servers.get()[:2] == ("1", "3"),
        )
        servers.ping("1")
        assert servers.acked
        servers.ping("1", 0)  # restarted: it lost its memory
        self.expect(servers, ("3", "1", 6))
        servers.ping("3")
        assert servers.acked


def _do(*views: Named) -> None:
    """Make a procedure of calls that return something."""


def test_DV1_startup_view() -> None:
    """Fresh. Assert (none, none, 0)."""
    assert Servers().view == (None, None, 0)


def test_DV2_primary_initialized() -> None:
    """1 pings 0. Assert (1, none, 1)."""
    assert Servers().ping("1", 0) == ("1", None, 1)


def test_DV3_backup_initialized() -> None:
    """1 pings 0, 1 pings 1 (ack), 2 pings 0. Assert (1, 2, 2) immediately."""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1", 1)
    assert servers.ping("2", 0) == ("1", "2", 2)


def test_DV5_backup_takes_over() -> None:
    """(1, 2, 2) acked. 2 pings, check, 2 pings, check. Still (1, 2, 2) until the second check;
    then (2, none, 3).
    """
    servers = acknowledged_pair()
    servers.ping("2")
    servers.check()
    assert servers.ping("2") == ("1", "2", 2)
    assert servers.check() == ("2", None, 3)


def test_DV7_idle_server_becomes_backup() -> None:
    """(1, 2, 2) acked; two checks with 2 and 3 (3 is idle and pings the current number). Assert
    (2, 3, 3) in one step.
    """
    servers = acknowledged_pair()
    servers.checks(1, "2", "3")
    assert servers.view == ("1", "2", 2)
    assert servers.checks(1, "2", "3") == ("2", "3", 3)


def test_DV8_wait_for_primary_ack() -> None:
    """1 and 2 both ping 0: view stays (1, none, 1). 1 pings 1: (1, 2, 2). 1 never acks 2; 2
    pings; two checks with 2. Assert: still (1, 2, 2).
    """
    servers = Servers()
    servers.ping("1", 0)
    assert servers.ping("2", 0) == ("1", None, 1)
    assert servers.ping("1", 1) == ("1", "2", 2)
    servers.ping("2")
    assert servers.checks(2, "2") == ("1", "2", 2)


def test_DV9_dead_backup_removed() -> None:
    """(1, 2, 2) acked; two checks with 1 only. Assert (1, none, 3)."""
    servers = acknowledged_pair()
    assert servers.checks(2, "1") == ("1", None, 3)


def test_it_tells_people_at_once_that_the_state_is_gone() -> None:
    """The log went on to say "waiting for 1" after the last holder of the state had come back
    empty, since only ping checks told people anything.
    """
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1", 1)
    servers.checks(2)
    servers.effects.clear()
    servers.restart("1")
    servers.ping("1", 0)
    told = [effect.event for effect in servers.effects if isinstance(effect, Emit)]
    assert [event.state for event in told if isinstance(event, RoleChanged)] == [
        "stuck: last holder of the state is gone; 'pbactors abandon' forms a new, empty cluster"
    ]
