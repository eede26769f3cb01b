"""The command line, one file a command. Needs the extra ``cli``: click, and rich for tables.

``docs/command-line.md`` tells users everything about it: commands, exit codes, JSON.
"""
