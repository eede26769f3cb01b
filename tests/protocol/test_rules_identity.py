"""Who is who, and what the view server remembers: R46, R47, and giving a cluster up."""

from __future__ import annotations

from pbactors.protocol.core import Outbox, Send, Signal, Slept, Timer
from pbactors.protocol.events import Ignored
from pbactors.protocol.messages import Ping, Reason, Refused, Superseded, ViewReply
from pbactors.protocol.tool_messages import Abandon, Abandoned
from pbactors.protocol.view import NO_VIEW, Member, View, ViewRecord

from .hand_driven import Servers, acknowledged_pair
from .network import CLUSTER, CONTRACT, VIEW, Network, incarnation

OTHER_CLUSTER = b"o" * 16


# -- the view server's memory -------------------------------------------------------------------


def test_R46_the_stored_view_stands_after_a_restart() -> None:
    """“Durable at the view server: cluster id, number, members with incarnations, acked. After a
    restart the stored view stands, announced or not.”
    """
    servers = acknowledged_pair()
    view, record = servers.core.view, servers.record
    servers.start(record)
    assert servers.core.view == view
    assert servers.acked
    assert servers.core.record() == record
    unannounced = View(3, view.backup, None)
    servers.start(record._replace(view=unannounced, acked=False))
    assert servers.get() == ("2", None, 3)


def test_R46_everyone_gets_a_fresh_grace_period() -> None:
    """“everyone gets a fresh grace period”"""
    servers = acknowledged_pair()
    servers.checks(1)
    servers.start(servers.record)
    servers.ping("2")
    servers.check()
    servers.ping("2")
    assert servers.view == ("1", "2", 2)
    assert servers.check() == ("2", None, 3)


def test_R46_only_servers_heard_since_the_restart_are_promoted() -> None:
    """“only servers heard since may be chosen or promoted.”"""
    servers = acknowledged_pair()
    servers.start(servers.record)
    servers.restart("1")
    assert servers.ping("1", 0) == ("1", "2", 2)  # 2 may be dead for all that is known
    assert servers.ping("2") == ("2", "1", 3)


def test_R46_only_servers_heard_since_it_slept_are_promoted() -> None:
    """“(also when V notices it slept); only servers heard since may be chosen or promoted.”"""
    servers = acknowledged_pair()
    signal(servers, Slept())
    servers.restart("1")
    assert servers.ping("1", 0) == ("1", "2", 2)
    assert servers.ping("2") == ("2", "1", 3)


def test_R46_having_slept_it_gives_a_fresh_grace_period() -> None:
    """“everyone gets a fresh grace period (also when V notices it slept)”"""
    servers = acknowledged_pair()
    servers.check()
    signal(servers, Slept())
    servers.ping("2")
    assert servers.check() == ("1", "2", 2)
    servers.ping("1")
    assert servers.checks(3, "1", "2") == ("1", "2", 2)


def signal(servers: Servers, what: Signal) -> None:
    """Hand over a signal."""
    servers.core.on_signal(what, Outbox())


def test_R46_a_view_server_that_was_overtaken_decides_nothing() -> None:
    """“A V that hears, under its own cluster id, a number above its own decides nothing and says
    so.” Its store was set back; deciding would begin a second history.
    """
    early = Servers()
    early.ping("1", 0)
    early.ping("1")
    old = early.record
    early.ping("2", 0)
    early.ping("1")
    early.start(old)
    early.ping("1", 2)
    early.ping("3", 0)
    assert early.checks(5, "2", "3") == ("1", None, 1)
    assert early.core.status().stuck
    assert "set back" in early.core.status().state


def test_R46_an_overtaken_view_server_takes_no_ack() -> None:
    """“decides nothing”: an ack of its old number, delayed, would be a decision too."""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1", 0)
    servers.ping("2", 5)
    servers.ping("1", 1)
    assert not servers.acked


def test_R46_a_filling_flag_above_its_own_number_overtakes_too() -> None:
    """“hears a number above its own”, in whichever field."""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1", 1, filling=2)
    assert servers.ping("2", 0) == ("1", None, 1)
    assert servers.core.status().stuck


def test_R46_a_number_counts_only_under_the_cluster_s_id() -> None:
    """“hears, under its own cluster id, a number above its own”: anybody can leave the id out."""
    servers = acknowledged_pair()
    frozen = servers.core.freeze()
    for number, filling in ((2**62, 0), (1, 2**62), (2, 0)):
        effects = servers.say(servers.member("1"), Ping(number, 99, filling, CONTRACT), cluster=b"")
        (refused,) = [effect.message for effect in effects if isinstance(effect, Send)]
        assert isinstance(refused, Refused)
        assert refused.reason == Reason.FOREIGN_CLUSTER
    assert servers.core.freeze() == frozen


def test_R46_messages_of_another_cluster_change_nothing() -> None:
    """“A message with another cluster id is refused, counted, shown in `status`, and changes
    nothing.”
    """
    servers = acknowledged_pair()
    frozen = servers.core.freeze()
    for message in (Ping(9, 9, 0, CONTRACT), Abandon(OTHER_CLUSTER)):
        effects = servers.say(servers.member("1"), message, OTHER_CLUSTER)
        (refused,) = [effect.message for effect in effects if isinstance(effect, Send)]
        assert isinstance(refused, Refused)
        assert refused.reason == Reason.FOREIGN_CLUSTER
    assert servers.core.freeze() == frozen


def test_R46_replicas_refuse_another_cluster() -> None:
    """“A message with another cluster id ... changes nothing”: also at replicas and clients."""
    network = Network()
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    network.do("x", "append", "k", "1")
    captured = [network.inject(VIEW, name, view_reply(network, name)) for name in "abx"]
    for packet in captured:
        packet.body = packet.body.replace(CLUSTER, OTHER_CLUSTER)
        before = network.nodes[packet.target].core.freeze()
        network.deliver(packet)
        assert network.nodes[packet.target].core.freeze() == before


def view_reply(network: Network, primary: str) -> ViewReply:
    """Return a later view in which somebody is primary."""
    member = network.replicas[primary].member if primary in network.replicas else None
    return ViewReply(View(9, member or Member("a", incarnation(1)), None), True, CONTRACT)


def test_R46_a_fresh_node_carries_no_cluster_until_the_first_reply() -> None:
    """“a fresh node carries none until V's first reply.”"""
    network = Network()
    network.start_view_server()
    network.start("a")
    assert network.replicas["a"].cluster == b""
    network.settle()
    assert network.replicas["a"].cluster == CLUSTER


# -- incarnations -------------------------------------------------------------------------------


def test_R47_a_node_that_is_superseded_starts_empty_with_a_higher_incarnation() -> None:
    """“A node told that it is superseded takes a higher one and starts empty.”"""
    network = Network()
    network.form("a", "b")
    former = network.replicas["b"].member
    newest = incarnation(500)
    network.hand(VIEW, "b", Superseded(former.incarnation, newest))
    assert network.replicas["b"].member != former
    assert network.role("b").state.op == 0
    assert not network.replicas["b"].view.number


def test_R47_a_fresh_node_that_is_superseded_starts_over() -> None:
    """“A node told that it is superseded takes a higher one”, also where it has not yet heard which
    cluster it belongs to: a host whose clock was set back is in this position.
    """
    network = Network()
    network.form("a", "b")
    network.start("b", rank=1)
    assert network.replicas["b"].member.incarnation == incarnation(1)
    network.settle()
    network.ping("a", "b")
    assert network.replicas["b"].cluster == CLUSTER
    assert network.replicas["b"].member.incarnation > incarnation(1)


def test_R47_superseded_is_for_the_incarnation_it_names() -> None:
    """A delayed word to a former life ends no later one."""
    network = Network()
    network.form("a")
    member = network.replicas["a"].member
    network.hand(VIEW, "a", Superseded(bytes(16), incarnation(500)))
    assert network.replicas["a"].member == member
    assert network.ignored("a")[-1] == "meant for another life of this node"


def test_R47_another_incarnation_than_the_one_named_is_no_member_and_pings_0() -> None:
    """“Another incarnation than the one named is no member: it refuses and pings 0.”"""
    network = Network()
    network.form("a", "b")
    network.stop("b")
    network.cut = {("b", VIEW)}
    network.start("b")
    network.hand(VIEW, "b", ViewReply(network.view_service.view, True, CONTRACT))
    assert network.replicas["b"].view.number == 2
    network.fire("b", Timer.PING)
    (first, second) = (packet.message for packet in network.waiting(Ping, source="b"))
    assert isinstance(first, Ping)
    assert isinstance(second, Ping)
    assert (first.number, second.number) == (0, 0)


def test_R47_confirmations_name_the_primary_s_incarnation() -> None:
    """“Messages between replicas name the target's incarnation too”, and come from the member that
    the view names.
    """
    network = Network()
    network.form("a", "b")
    network.start("c")
    network.settle()
    network.start_client("x")
    network.settle()
    call = network.call("x", "append", "k", "1")
    network.settle(hold=lambda packet: packet.source == "b" and packet.target == "a")
    (confirm,) = network.waiting(source="b", target="a")
    network.drop(source="b", target="a")
    network.hand("c", "a", confirm.message)
    assert network.ignored("a")[-1] == "not from the backup of this view"
    assert call not in network.outcomes
    assert network.replicas["a"].state.op == 0


# -- giving up ----------------------------------------------------------------------------------


def test_R46_abandon_is_refused_while_the_primary_is_alive() -> None:
    """A new cluster is made only when that is asked for, and nothing that lives is thrown away."""
    servers = acknowledged_pair()
    frozen = servers.core.freeze()
    (refused,) = servers.say(Member("", incarnation(7)), Abandon(OTHER_CLUSTER))
    assert isinstance(refused, Send)
    assert isinstance(refused.message, Refused)
    assert refused.message.reason == Reason.STILL_SERVING
    assert servers.core.freeze() == frozen


def test_R46_abandon_is_refused_in_the_grace_period() -> None:
    """After a restart of the view server the primary may live, though it was not heard yet."""
    servers = acknowledged_pair()
    servers.start(servers.record)
    (refused,) = servers.say(Member("", incarnation(7)), Abandon(OTHER_CLUSTER))
    assert isinstance(refused, Send)
    assert isinstance(refused.message, Refused)
    assert not servers.core.over


def test_R46_abandon_is_refused_while_a_backup_may_hold_the_state() -> None:
    """“everyone gets a fresh grace period”: the backup too, though the primary has restarted."""
    servers = acknowledged_pair()
    servers.restart("1")
    servers.start(servers.record)
    servers.ping("1", 0)
    (refused,) = servers.say(Member("", incarnation(7)), Abandon(OTHER_CLUSTER))
    assert isinstance(refused, Send)
    assert isinstance(refused.message, Refused)
    assert refused.message.text == "backup 2 holds the state and is not known to be dead"
    assert not servers.core.over
    servers.ping("2")
    assert servers.view == ("2", "1", 3)


def test_R46_all_that_hold_the_state_are_waited_for() -> None:
    """Whoever of them comes back brings it; who abandons the cluster has to know of both."""
    servers = acknowledged_pair()
    servers.check()
    servers.check()
    assert servers.core.status().state.startswith("stuck: waiting for 1 or 2, which hold the state")
    servers.ping("2")
    assert servers.view == ("2", None, 3)


def test_R46_abandon_forms_a_new_cluster_where_the_old_one_is_stuck() -> None:
    """“cluster id (random, made only when a cluster is explicitly formed)”"""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1")
    servers.restart("1")
    servers.ping("1", 0)
    assert servers.core.status().stuck
    effects = servers.say(Member("", incarnation(7)), Abandon(OTHER_CLUSTER))
    assert servers.record.cluster == OTHER_CLUSTER
    assert servers.record.view.number == 0
    assert [effect.message for effect in effects if isinstance(effect, Send)] == [Abandoned(1)]
    assert servers.core.over


def test_R46_a_serving_primary_refuses_to_be_abandoned() -> None:
    """Also where the view server is gone: the state is right here."""
    network = Network()
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    network.hand("x", "a", Abandon(OTHER_CLUSTER))
    (refused,) = network.waiting(Refused)
    assert isinstance(refused.message, Refused)
    assert refused.message.reason == Reason.STILL_SERVING
    member = network.replicas["b"].member
    network.hand("x", "b", Abandon(OTHER_CLUSTER))
    assert network.replicas["b"].member != member


def test_R47_a_life_that_is_over_takes_nothing_any_more() -> None:
    """The driver replaces the core; until then it is deaf."""
    servers = Servers()
    servers.say(Member("", incarnation(7)), Abandon(OTHER_CLUSTER))
    assert servers.core.over
    frozen = servers.core.freeze()
    assert servers.say(servers.member("1"), Ping(0, 1, 0, CONTRACT)) == []
    servers.check()
    assert servers.core.freeze() == frozen


def test_R46_a_replica_whose_view_server_has_another_cluster_says_so() -> None:
    """“refused, counted, shown in `status`”: its state is kept, but a person has to act."""
    network = Network()
    network.form("a", "b")
    assert not network.replicas["a"].status().stuck
    network.record = ViewRecord(OTHER_CLUSTER, NO_VIEW, False)
    network.start_view_server()
    network.ping("a")
    status = network.replicas["a"].status()
    assert status.stuck
    assert "start this node again" in status.state
    assert network.replicas["a"].state.op == network.replicas["b"].state.op


def test_R46_strangers_are_counted() -> None:
    """“is refused, counted”: every refusal is an event with its reason."""
    servers = Servers()
    servers.say(servers.member("1"), Ping(0, 1, 0, CONTRACT), OTHER_CLUSTER)
    reasons = [
        event.reason
        for effect in servers.effects
        if isinstance(event := getattr(effect, "event", None), Ignored)
    ]
    assert reasons == ["another cluster"]
