#!/bin/sh
# Installs Debian's redis-tools (redis-benchmark), which the gate is measured against, as root or by sudo.
set -e
if ! command -v apt-get >/dev/null; then
    echo "hawker: bench-drop needs redis-benchmark; install it with your system's package manager [redis_benchmark_missing]" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null; then
    as_root="sudo"
else
    echo "hawker: bench-drop needs redis-benchmark; run as root: apt-get install redis-tools [redis_benchmark_missing]" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
$as_root apt-get install -q -y --no-install-recommends redis-tools
