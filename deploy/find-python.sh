#!/bin/sh
# Prints a Python that is new enough, or says what to do. PYTHON=… chooses one.
for candidate in $PYTHON python3.11 python3 python3.12 python3.13 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        if ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "hawker: $candidate has no venv module; install it (Debian: apt-get install python3-venv) [venv_missing]" >&2
            exit 1
        fi
        echo "$candidate"
        exit 0
    fi
done
echo "hawker: Python 3.11 or newer is needed and was not found; install it, or name one: make PYTHON=/path/to/python3.11 [python_missing]" >&2
exit 1
