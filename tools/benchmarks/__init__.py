"""What ``tools/bench`` measures, on clusters of real processes of this machine.

``throughput`` is how fast one client is served, ``failover`` how long it is not served when a
process dies, freezes or restarts. ``caller`` is the client process of that, ``gaps`` does the sums,
``__main__`` is the command line. Figures of one machine on one day: compare only what was measured
side by side.
"""
