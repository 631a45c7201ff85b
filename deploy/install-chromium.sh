#!/bin/sh
# Installs Debian's Chromium for the browser tests, as root or by sudo.
set -e
if ! command -v apt-get >/dev/null; then
    echo "hawker: the browser tests need Chromium; install it with your system's package manager [chromium_missing]" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null; then
    as_root="sudo"
else
    echo "hawker: the browser tests need Chromium; run as root: apt-get install chromium [chromium_missing]" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
$as_root apt-get install -q -y --no-install-recommends chromium
