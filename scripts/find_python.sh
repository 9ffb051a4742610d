#!/bin/sh
# Prints the Python to make the environment with: the first of those on PATH that is supported.
for python in "${PYTHON:-}" python3.11 python3.12 python3; do
    [ -n "$python" ] || continue
    if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
        echo "$python"
        exit 0
    fi
done
echo "Tidepool needs Python 3.11 or 3.12, and none is on PATH." >&2
echo "Install one and name it: make PYTHON=/path/to/python3.12" >&2
exit 1
