"""The numbers of a cluster: ``Timing`` and ``Limits``.

Both are frozen. Units stand last in the names. ``problems()`` names every relation between
fields that does not hold, so that a topology file can report all of them at once.
Timing affects only how soon something happens; no safety argument rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Limits", "Timing"]


@dataclass(frozen=True, slots=True)
class Timing:
    """How often and how patiently. All values are positive whole numbers.

    Attributes:
        ping_interval_ms: a replica pings the view server, and the view server checks pings, once
            per interval.
        dead_pings: a server that was silent for this many checks counts as dead. Times the
            interval, this is how long a primary costs that hangs, and how long a live one may be
            too busy to ping. One that is killed is noticed by its closed connection, after two
            checks; one that is frozen by its silent one, after about half a second.
        resend_interval_ms: a primary repeats what its backup has not confirmed after this time.
        client_resend_ms: a client that hears nothing for this time sends again and asks the view
            server who is primary; the wait doubles up to ``client_resend_max_ms``.
        client_resend_max_ms: the longest such wait.
        link_loss_ms: a backup that its primary does not hear for this time, while the view server
            hears both, is replaced.
        heartbeat_interval_ms: a node publishes a heartbeat at least this often, besides the one
            at every change.
    """

    ping_interval_ms: int = 25
    dead_pings: int = 40
    resend_interval_ms: int = 100
    client_resend_ms: int = 100
    client_resend_max_ms: int = 1000
    link_loss_ms: int = 300
    heartbeat_interval_ms: int = 500

    @property
    def dead_interval_ms(self) -> int:
        """Silence after which a server counts as dead, in milliseconds."""
        return self.ping_interval_ms * self.dead_pings

    def problems(self) -> list[tuple[str, str]]:
        """Return ``(field, what is wrong)`` for every value or relation that is unsafe."""
        found = _not_positive(self)
        if self.dead_pings == 1:
            found.append(
                ("dead_pings", "1 means that one late ping kills a server; expected at least 2")
            )
        if self.client_resend_max_ms < self.client_resend_ms:
            found.append(
                (
                    "client_resend_max_ms",
                    f"{self.client_resend_max_ms} is less than client_resend_ms "
                    f"({self.client_resend_ms}); expected at least as much",
                )
            )
        if self.dead_pings > 1 and self.resend_interval_ms >= self.dead_interval_ms > 0:
            found.append(
                (
                    "resend_interval_ms",
                    f"{self.resend_interval_ms} is not less than ping_interval_ms x dead_pings "
                    f"({self.dead_interval_ms}): one lost message would outlast a view",
                )
            )
        return found


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of everything. Reaching a bound is a refusal that says "later", never a loss.

    Attributes:
        sessions_max: sessions kept; opening one more ends the one that was silent longest.
            The same on every node: it decides outcomes.
        result_bytes_max: the largest encoded result of a method; a larger one becomes an error
            outcome. The same on every node: it decides outcomes.
        session_window: commands of one session that may be unanswered at once.
        operation_bytes_max: the largest encoded method name with its arguments.
        pending_operations_max: commands a primary holds that are not executed yet.
        waiting_queries_max: queries a primary holds that are not answered yet.
        forward_operations_max: commands in one forward.
        forward_bytes_max: bytes of commands in one forward (one larger command goes alone).
        forwards_in_flight_max: forwards sent and not confirmed; 1 is lockstep.
        snapshot_piece_bytes_max: bytes of state in one piece of a transfer.
        pieces_in_flight_max: pieces sent and not acknowledged.
        catch_up_bytes_max: what a primary holds, about, of the commands that it executes while the
            state travels to a new backup; with so many it answers nothing until the backup has it.
        message_bytes_max: the largest frame that is read from a socket.
    """

    sessions_max: int = 10_000
    result_bytes_max: int = 16 * 1024 * 1024
    session_window: int = 4096
    operation_bytes_max: int = 1024 * 1024
    pending_operations_max: int = 65_536
    waiting_queries_max: int = 65_536
    forward_operations_max: int = 128
    forward_bytes_max: int = 1024 * 1024
    forwards_in_flight_max: int = 8
    snapshot_piece_bytes_max: int = 32 * 1024
    pieces_in_flight_max: int = 8
    catch_up_bytes_max: int = 256 * 1024 * 1024
    message_bytes_max: int = 64 * 1024 * 1024

    def problems(self) -> list[tuple[str, str]]:
        """Return ``(field, what is wrong)`` for every value or relation that is unsafe."""
        found = _not_positive(self)
        for name in ("result_bytes_max", "operation_bytes_max", "forward_bytes_max"):
            value = getattr(self, name)
            if value * 2 > self.message_bytes_max:
                found.append(
                    (
                        name,
                        f"{value} is more than half of message_bytes_max "
                        f"({self.message_bytes_max}): such a message would not be read",
                    )
                )
        if self.snapshot_piece_bytes_max * 4 > self.message_bytes_max:
            found.append(
                (
                    "snapshot_piece_bytes_max",
                    f"{self.snapshot_piece_bytes_max} is more than a quarter of message_bytes_max "
                    f"({self.message_bytes_max}); expected less",
                )
            )
        return found


def _not_positive(numbers: Timing | Limits) -> list[tuple[str, str]]:
    return [
        (field.name, f"{getattr(numbers, field.name)} is not positive; expected 1 or more")
        for field in fields(numbers)
        if getattr(numbers, field.name) < 1
    ]
