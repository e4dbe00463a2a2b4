#!/bin/sh
# Provide aihwkit for the tests of its adapter:  adapters.sh FOLDER
#
# aihwkit is installed into a folder of its own, without its dependencies: those of the parts that
# the tests use are in the test environment. Its wheels suit few versions of Python, and its
# compiled tiles only the version of PyTorch they were built with, so the tests use its tiles in
# PyTorch. Without a wheel for this Python the tests are skipped.
set -eu

folder=$1
version=1.1.0
done=$folder/aihwkit-$version

[ -e "$done" ] && exit
rm -rf "$folder"
if .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
    --only-binary :all: --target "$folder" "aihwkit==$version" >/dev/null 2>&1; then
    touch "$done"
else
    echo "synfab: no wheel of aihwkit $version for this Python; the tests with it are skipped" >&2
fi
