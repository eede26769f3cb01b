"""What ``tools/bench`` measures, on systems of real processes of this machine.

``__main__`` is the command line and ``runs`` its scenarios. How fast clients are served: ``speed``
says who competes, ``loads`` starts the client processes, ``closed_loop`` is what each of them does.
The contestants are ``floor`` (bare sockets), ``cluster_clients`` and ``wire_client`` (pbactors),
``redis_peer`` and ``pysyncobj_peer``. ``soak`` watches a cluster grow old, ``filling`` a new backup
get a large state; ``plot`` draws.

How long a client is not served when a process dies, freezes or restarts: ``failover``; ``caller``
is its client process, ``gaps`` does the sums. Figures of one machine on one day: compare only what
was measured side by side.
"""
