#!/bin/sh
# The action's step: emulates MODEL with ARGUMENTS; the summary goes to the job's page even when
# the run fails.
set -u
root=$(cd "$(dirname "$0")/../../.." && pwd)
tidepool=${TIDEPOOL:-$root/.venv/bin/tidepool}

# shellcheck disable=SC2086 # the options are meant to be split
"$tidepool" emulate "$MODEL" ${ARGUMENTS:-} --junit build/junit.xml --summary build/summary.md
code=$?

if [ -f build/summary.md ] && [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    cat build/summary.md >>"$GITHUB_STEP_SUMMARY"
fi
if [ -n "${GITHUB_OUTPUT:-}" ]; then
    report=$(ls -t build/*/report.json 2>/dev/null | head -n 1)
    echo "report=$report" >>"$GITHUB_OUTPUT"
fi
exit "$code"
