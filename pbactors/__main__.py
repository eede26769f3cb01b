"""``pbactors`` and ``python -m pbactors``: the command line, if what it needs is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit code."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"Error: the command line needs {' and '.join(missing)}, not installed here. "
            "Install the extra of that name: pip install 'pbactors[cli]'\n"
        )
        sys.exit(2)
    try:
        from pbactors.cli.application import run

        sys.exit(run())
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
