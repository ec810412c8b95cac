#!/bin/sh
# Starts a test's program: with Lua's search paths of the build tree (SHOAL_TEST_LUA: of another Lua's module), and with the
# sanitizer's runtime before it where tests/scripts.cmake names one.
export LUA_PATH="$SHOAL_BUILD_DIR/lua/?.lua;$SHOAL_BUILD_DIR/lua/?/init.lua;;"
export LUA_CPATH="$SHOAL_BUILD_DIR/lua/${SHOAL_TEST_LUA:+$SHOAL_TEST_LUA/}?.so;;"
[ -n "${SHOAL_TEST_PRELOAD:-}" ] && export LD_PRELOAD="$SHOAL_TEST_PRELOAD"
exec "$@"
