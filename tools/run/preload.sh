#!/bin/sh
# Starts an interpreter with the sanitizer's runtime before it (tests/scripts.cmake names it); plain otherwise.
[ -n "${SHOAL_TEST_PRELOAD:-}" ] && export LD_PRELOAD="$SHOAL_TEST_PRELOAD"
exec "$@"
