"""``pbactors call``: one call from the shell."""

from __future__ import annotations

import json
import sys
from typing import Final

import click

from pbactors.cli.arguments import class_of, topology_argument
from pbactors.cli.json_form import from_json, to_json
from pbactors.cli.methods import check_arguments, find_method
from pbactors.client import connect
from pbactors.errors import NotSent, OutcomeUnknown, UnsupportedValue
from pbactors.topology import Topology, load
from pbactors.watch import ask_view_server

__all__ = ["call"]


TIMEOUT_MAX_S: Final = 1e6


def _seconds(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not 0 < value <= TIMEOUT_MAX_S:  # also refuses nan
        raise click.BadParameter(f"expected seconds above 0, for example 2.5, not {value}")
    return value


# Words that begin with a dash and are no option are arguments, such as negative numbers.
@click.command(
    short_help="Call a method of the replicated object.",
    context_settings={"ignore_unknown_options": True},
)
@topology_argument
@click.argument("method")
@click.argument("arguments", metavar="[ARGS]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--text", "as_text", is_flag=True, help="Take all arguments as texts, not as JSON.")
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    callback=_seconds,
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the result.",
)
def call(
    topology: str, method: str, arguments: tuple[str, ...], as_text: bool, timeout_s: float
) -> None:
    """Call METHOD of the object that the cluster of TOPOLOGY replicates.

    Each argument is JSON if it reads as JSON, else a text. The result is printed as JSON, and
    nothing else is. Where an argument may look like an option, write -- before it.

    \b
    Example:
      pbactors call topology/local.toml increment counter -5
    """
    plan = load(topology)
    function = find_method(class_of(plan), method)
    values = [word if as_text else value_of(word) for word in arguments]
    check_arguments(method, function, values)
    with connect(plan) as cluster:
        try:
            result = cluster.call(function, *values, timeout_s=timeout_s)
        except UnsupportedValue as error:
            raise click.UsageError(str(error)) from None
        except (NotSent, OutcomeUnknown) as error:
            raise click.ClickException(f"{error}{hindrance(plan)}") from None
    plain = sys.stdout.encoding.lower() not in ("utf-8", "utf8")
    click.echo(json.dumps(to_json(result), ensure_ascii=plain, allow_nan=False))


def hindrance(topology: Topology) -> str:
    """Return a line that says why nobody answers, as far as the view server knows, or nothing."""
    record = ask_view_server(topology)
    if record is None:
        view_server = topology.view_server
        return f"\nView server {view_server.name} does not answer at {view_server.address}."
    return f"\nThe cluster is {record.state}." if record.stuck else ""


def value_of(word: str) -> object:
    """Return the value that an argument stands for: JSON if it reads as JSON, else a text.

    Raises:
        UsageError: it is JSON in the tagged form, but wrong.
    """
    try:
        parsed = json.loads(word, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return word
    try:
        return from_json(parsed)
    except ValueError as error:
        raise click.UsageError(f"{word}: {error}; --text takes arguments as texts") from None


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not in JSON")
