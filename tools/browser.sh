#!/bin/sh
# Provide Chromium and its driver for the browser tests: the installed one, or the Debian package
# if this script may install it. Without Chromium, the browser tests are skipped.
set -eu

available() {
    command -v chromedriver >/dev/null 2>&1 &&
        { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null 2>&1
}

available && exit
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "synfab: installing chromium and chromium-driver for the browser tests (once)"
    {
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends chromium chromium-driver
    } >/dev/null 2>&1 || true
    available && exit
    echo "synfab: chromium could not be installed; the browser tests are skipped" >&2
    exit
fi
echo "synfab: no chromium with its driver; the browser tests are skipped" >&2
echo "        sudo apt install chromium chromium-driver" >&2
