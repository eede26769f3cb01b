"""A cluster under fire that loses nothing: what ``tools/demo`` runs.

Four client processes append the lines of a text to shared keys as fast as they can. Meanwhile
primaries and backups are killed with SIGKILL and started again, empty. In the end every
acknowledged line must be there, once, and in the order in which its client wrote it.

``script`` says what is written where, ``appender`` is a client process, ``cluster`` the processes
of the nodes, ``storm`` kills them, ``evidence`` judges, ``__main__`` puts them together.

``declaration.txt`` is the Declaration of Independence of the United States (1776), in the spelling
of the engrossed copy; it is in the public domain.
"""
