# Sourced by run, test, demo and bench: makes .venv in the repository, or takes the one that is there.
#
# Afterwards $root is the repository and $python the environment's Python. PYTHON, if set, names
# the Python to make it with; otherwise the first that is new enough is taken.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
python="$root/.venv/bin/python"

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

choose_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        new_enough "$PYTHON" && echo "$PYTHON" && return
        echo "PYTHON=$PYTHON is no Python 3.11 or newer." >&2
        return 1
    fi
    for candidate in python3 python3.11 python3.12 python3.13 python3.14 python; do
        new_enough "$candidate" && echo "$candidate" && return
    done
    echo "Python 3.11 or newer is needed, and there is none on the PATH." >&2
    echo "Install it, or say where it is: PYTHON=/path/to/python3.11 $0" >&2
    return 1
}

# What the environment is made from. It is made anew when any of it has changed.
fingerprint() {
    "$1" - "$root" <<'CODE'
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
made_from = ("setup.cfg", "pyproject.toml", "tools/environment.sh")
asked = b"".join((root / name).read_bytes() for name in made_from)
print(hashlib.sha256(asked + f"{root} {sys.base_prefix} {sys.version}".encode()).hexdigest())
CODE
}

# editable_mode=compat puts the repository on the import path. Otherwise an import hook finds it,
# which type checkers do not follow. The filter lets through one line a package, and what went wrong.
install() (
    set -o pipefail
    cd "$root" || return 1
    "$python" -m pip install --disable-pip-version-check --no-color --progress-bar off \
        --config-settings editable_mode=compat -e '.[cli,dev]' |
        sed -n -e 's/^Collecting \([A-Za-z0-9_.-]*\).*/   \1/p' -e 's/^Installing collected.*/   installing/p'
)

make_environment() {
    local base wanted stamp="$root/.venv/made-from"
    base="$(choose_python)" || return 1
    wanted="$(fingerprint "$base")" || return 1
    # Another terminal may be at it; a system without flock has to do without this.
    if command -v flock >/dev/null; then flock 9; fi
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    echo "== making $root/.venv with $("$base" --version), once; this needs the network"
    "$base" -m venv --clear "$root/.venv" || {
        echo "$base cannot make environments; on Debian and Ubuntu: apt install python3-venv"
        return 1
    }
    install || {
        echo "Installing failed, see above. Run this again once the reason is gone."
        return 1
    }
    echo "$wanted" >"$stamp"
}

make_environment >&2 9<"$root/setup.cfg" || exit 1
