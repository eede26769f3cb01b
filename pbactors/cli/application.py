"""The ``pbactors`` command: its subcommands, and what an error becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from pbactors.cli.abandon import abandon
from pbactors.cli.call import call
from pbactors.cli.check import check
from pbactors.cli.explore import explore
from pbactors.cli.history import history
from pbactors.cli.node import node
from pbactors.cli.sim import sim
from pbactors.cli.status import status
from pbactors.cli.switchover import switchover
from pbactors.cli.tail import tail
from pbactors.cli.trace import trace
from pbactors.cli.up import up
from pbactors.errors import PbactorsError, TopologyError
from pbactors.version import __version__

__all__ = ["pbactors", "run"]

FAILED: Final = 1
WRONG: Final = 2
INTERRUPTED: Final = 130
"""What a shell expects of a command that Ctrl-C has ended: 128 and the number of SIGINT."""


@click.group(context_settings={"max_content_width": 100})
@click.version_option(__version__, prog_name="pbactors", message="%(prog)s %(version)s")
def pbactors() -> None:
    """A hot standby for any deterministic Python object.

    Exit codes: 0 fine, 1 the operation failed, 2 wrong usage or topology, 130 Ctrl-C.

    \b
    Example:
      pbactors up topology/local.toml
    """


for command in (
    up,
    node,
    call,
    status,
    history,
    tail,
    check,
    switchover,
    abandon,
    explore,
    sim,
    trace,
):
    pbactors.add_command(command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. What was expected to go wrong shows no traceback.

    Args:
        arguments: the words after ``pbactors``; those of this process if None.
    """
    try:
        code: int | None = pbactors.main(arguments, prog_name=pbactors.name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except TopologyError as error:
        click.echo("\n".join(error.problems), err=True)
        return WRONG
    except PbactorsError as error:
        click.echo(f"Error: {error}", err=True)
        return FAILED
    return code or 0
