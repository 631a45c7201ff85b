#!/bin/sh
# install-package.sh PACKAGE WHY CODE: installs a Debian package, as root or by sudo, or says what to do.
set -e
package=$1 why=$2 code=$3
if ! command -v apt-get >/dev/null; then
    echo "hawker: $why; install $package with your system's package manager [$code]" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null; then
    as_root="sudo"
else
    echo "hawker: $why; run as root: apt-get install $package [$code]" >&2
    exit 1
fi
echo "hawker: $why; installing $package" >&2
export DEBIAN_FRONTEND=noninteractive
{ $as_root apt-get update -q && $as_root apt-get install -q -y --no-install-recommends "$package"; } >&2
