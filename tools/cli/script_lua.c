/* script_lua.c - shoal node script.lua: a Lua inside this process, whose shoal module makes the node from the same
 * options; the script is a task of it. In here, because a Lua script cannot take SIGTERM by itself. */
#include "cli.h"

#ifdef SHOAL_CLI_LUA
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <string.h>
#include <unistd.h>

/* Its arguments: script, json or not, options, signalled() -> a signal came.
 * It returns the exit status, or the failure of shoal.node: nil, text, code, delivery. */
static const char bootstrap[] =
    "local path, json, options, signalled = ...\n"
    "local shoal = require 'shoal'\n"
    "local script = assert(loadfile(path))\n"
    "io.stdout:setvbuf('line')\n"
    "\n"
    "local function quote(text)\n"
    "  return '\"' .. text:gsub('[%c\"\\\\]', function(c) return ('\\\\u%04x'):format(c:byte()) "
    "end) .. '\"'\n"
    "end\n"
    "local function encode(v)\n"
    "  local kind = shoal.type(v)\n"
    "  if kind == 'nil' then return 'null' end\n"
    "  if kind == 'ref' then return json and '{\"$ref\": ' .. quote(tostring(v)) .. '}' or "
    "tostring(v) end\n"
    "  return kind == 'text' and quote(v) or tostring(v)\n"
    "end\n"
    "local function line(event, info)\n"
    "  local keys, words = {}, { json and '\"event\": ' .. quote(event) or event }\n"
    "  for key in pairs(info) do keys[#keys + 1] = key end\n"
    "  table.sort(keys)\n"
    "  for _, key in ipairs(keys) do\n"
    "    words[#words + 1] = json and quote(key) .. ': ' .. encode(info[key]) or key .. '=' .. "
    "encode(info[key])\n"
    "  end\n"
    "  print(json and '{' .. table.concat(words, ', ') .. '}' or table.concat(words, ' '))\n"
    "end\n"
    "local function listening(address, peer_id)\n"
    "  if json then line('listening', { address = address or shoal.null, peer_id = peer_id })\n"
    "  else print(address and 'listening ' .. address or 'not listening, peer id ' .. peer_id) "
    "end\n"
    "end\n"
    "\n"
    "options.on_event = function(event, info)\n"
    "  if event ~= 'listening' then line(event, info) end\n"
    "end\n"
    "local node, text, code, delivery = shoal.node(options)\n"
    "if not node then return nil, text, code, delivery end\n"
    "for _, address in ipairs(node.addresses) do listening(address, node.peer_id) end\n"
    "if #node.addresses == 0 then listening(nil, node.peer_id) end\n"
    "\n"
    "local status, stopping = 0, false\n"
    "local function stop()\n" /* the second signal means now */
    "  local options = stopping and { timeout = 0.001 } or nil\n"
    "  stopping = true\n"
    "  node:stop(options)\n"
    "end\n"
    "node:task(function()\n"
    "  while true do\n"
    "    if signalled() then node:task(stop) end\n"
    "    shoal.sleep(0.05)\n"
    "  end\n"
    "end)\n"
    "node:task(function()\n"
    "  local done, problem = xpcall(script, debug.traceback, node)\n"
    "  if not done then\n"
    "    io.stderr:write('shoal node: ', tostring(problem), '\\n')\n"
    "    status = 1\n"
    "    stop()\n"
    "  end\n"
    "end)\n"
    "node:run()\n"
    "return status\n";

/* signalled(): the descriptor of signals is its upvalue. */
static int lua_signalled(lua_State *L)
{
    lua_pushboolean(L, signals_wait((int)lua_tointeger(L, lua_upvalueindex(1)), -1, 0));
    return 1;
}

static int lua_trace(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static void push_texts(lua_State *L, const char *key, const struct texts *texts)
{
    lua_createtable(L, (int)texts->count, 0);
    for (size_t i = 0; i < texts->count; i++) {
        lua_pushstring(L, texts->at[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, key);
}

static void push_arguments(lua_State *L, const struct cli *cli, const char *path, int signals)
{
    lua_createtable(L, 0, 1); /* as lua5.4 would have it */
    lua_pushstring(L, path);
    lua_rawseti(L, -2, 0);
    lua_setglobal(L, "arg");
    lua_pushstring(L, path);
    lua_pushboolean(L, cli->json);
    lua_newtable(L);
    push_texts(L, "listen", &cli->listen);
    push_texts(L, "dial", &cli->dial);
    push_texts(L, "admin", &cli->admin);
    if (cli->key) {
        lua_pushstring(L, cli->key);
        lua_setfield(L, -2, "key");
    }
    if (cli->timeout_s > 0) {
        lua_pushnumber(L, cli->timeout_s);
        lua_setfield(L, -2, "stop_timeout");
    }
    lua_pushinteger(L, signals);
    lua_pushcclosure(L, lua_signalled, 1);
}

static int code_of(const char *name)
{
    int code = SHOAL_E_USAGE;
    while (code < SHOAL_E_TIMEOUT && strcmp(shoal_code_name(code), name) != 0) {
        code++;
    }
    return code;
}

/* The node could not be made: nil, text, code are on the stack. */
static int refused(lua_State *L, const struct cli *cli, int first)
{
    const char *text = lua_tostring(L, first + 1), *name = lua_tostring(L, first + 2);
    return output_error(cli, code_of(name ? name : ""), SHOAL_NOT_SENT, text);
}

int script_lua_run(const struct cli *cli, const char *path)
{
    int signals = signals_open();
    lua_State *L = signals < 0 ? NULL : luaL_newstate();
    if (!L) {
        return output_error(cli, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "no memory for a Lua");
    }
    luaL_openlibs(L);
    lua_pushcfunction(L, lua_trace);
    int status = luaL_loadbuffer(L, bootstrap, sizeof bootstrap - 1, "=(shoal node)");
    if (status == LUA_OK) {
        push_arguments(L, cli, path, signals);
        status = lua_pcall(L, 4, LUA_MULTRET, 1);
    }
    if (status != LUA_OK) {
        fprintf(stderr, "shoal node: %s\n", lua_tostring(L, -1));
        status = CLI_FAILED;
    } else {
        status = lua_isnil(L, 2) ? refused(L, cli, 2) : (int)lua_tointeger(L, 2);
    }
    lua_close(L);
    close(signals);
    return status;
}

#else

int script_lua_run(const struct cli *cli, const char *path)
{
    char text[512];
    snprintf(text, sizeof text, "%s: this shoal was built without Lua", path);
    return output_error(cli, SHOAL_E_UNSUPPORTED, SHOAL_NOT_SENT, text);
}

#endif
