/* script_python.c - shoal node script.py: this process becomes a Python that makes the node from the same options and
 * awaits the script's main(node) in it. Signals and the exit status are then Python's own affair. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Its arguments: script, json or people, stop time-out or "-", key or "-", then pairs of option and value. */
static const char bootstrap[] =
    "import asyncio, importlib.util, json, os, signal, sys\n"
    "\n"
    "script, form, timeout, key, *pairs = sys.argv[1:]\n"
    "sys.argv = [script]\n"
    "sys.path[0] = os.path.dirname(os.path.abspath(script))\n"
    "sys.stdout.reconfigure(line_buffering=True)\n"
    "import shoal\n"
    "\n"
    "options = {name: [v for n, v in zip(pairs[::2], pairs[1::2]) if n == name] for name in "
    "('listen', 'dial', 'admin')}\n"
    "options = {name: given for name, given in options.items() if given}\n"
    "if timeout != '-':\n"
    "    options['stop_timeout'] = float(timeout)\n"
    "if key != '-':\n"
    "    options['key'] = key\n"
    "\n"
    "def line(event, info):\n"
    "    try:\n"
    "        if form == 'json':\n"
    "            text = json.dumps({'event': event, **info}, default=lambda ref: {'$ref': "
    "str(ref)})\n"
    "        elif event == 'listening':\n"
    "            text = 'listening ' + info['address'] if info['address'] else 'not listening, "
    "peer id ' + info['peer_id']\n"
    "        else:\n"
    "            text = ' '.join([event, *(f'{k}={json.dumps(v, default=str)}' for k, v in "
    "info.items())])\n"
    "        print(text, flush=True)\n"
    "    except OSError:\n"
    "        pass\n"
    "\n"
    "def on_event(event, info):\n"
    "    if event != 'listening':\n"
    "        line(event, info)\n"
    "\n"
    "class Node(shoal.Node):\n"
    "    made, ended = False, None\n"
    "    def stop(self, *args, **named):\n"
    "        pending = super().stop(*args, **named)\n"
    "        if self.ended:\n"
    "            self.ended.set()\n"
    "        return pending\n"
    "\n"
    "async def serve():\n"
    "    ended, loop = asyncio.Event(), asyncio.get_running_loop()\n"
    "    node = None\n"
    "    def on_signal():\n"
    "        if ended.is_set() and node:\n"
    "            node.stop(timeout=0.001)\n" /* the second signal means now */
    "        ended.set()\n"
    "    for number in (signal.SIGINT, signal.SIGTERM):\n"
    "        loop.add_signal_handler(number, on_signal)\n"
    "    spec = importlib.util.spec_from_file_location('__shoal_script__', script)\n"
    "    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)\n"
    "    spec.loader.exec_module(module)\n"
    "    if not callable(getattr(module, 'main', None)):\n"
    "        sys.exit(f'shoal node: {script} has no `async def main(node)`')\n"
    "    async with Node(on_event=on_event, **options) as node:\n"
    "        Node.made, node.ended = True, ended\n"
    "        for address in node.addresses or [None]:\n"
    "            line('listening', {'address': address, 'peer_id': node.peer_id})\n"
    "        script_task = asyncio.ensure_future(module.main(node))\n"
    "        end_task = asyncio.ensure_future(ended.wait())\n"
    "        await asyncio.wait([script_task, end_task], return_when=asyncio.FIRST_COMPLETED)\n"
    "        if script_task.done():\n"
    "            script_task.result()\n"
    "            await end_task\n"
    "        script_task.cancel()\n"
    "        end_task.cancel()\n"
    "        await asyncio.gather(script_task, end_task, return_exceptions=True)\n"
    "\n"
    "try:\n"
    "    asyncio.run(serve())\n"
    "except shoal.Error as e:\n"
    "    if Node.made:\n" /* the script's own: with its traceback */
    "        raise\n"
    "    delivery = e.delivery or 'not_sent'\n"
    "    if form == 'json':\n"
    "        print(json.dumps({'error': {'code': e.code, 'text': e.text, 'delivery': delivery}}))\n"
    "    else:\n"
    "        print(f'shoal node: {e.code}: {e.text} ({delivery})', file=sys.stderr)\n"
    "    sys.exit(1)\n";

int script_python_run(const struct cli *cli, const char *path)
{
    char timeout[32] = "-";
    struct {
        const char *name;
        const struct texts *texts;
    } lists[] = {{"listen", &cli->listen}, {"dial", &cli->dial}, {"admin", &cli->admin}};
    size_t n = cli->listen.count + cli->dial.count + cli->admin.count, at = 0;
    const char **argv = calloc(8 + 2 * n, sizeof *argv);
    if (!argv) {
        return output_error(cli, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "no memory");
    }
    if (cli->timeout_s > 0) {
        snprintf(timeout, sizeof timeout, "%.3f", cli->timeout_s);
    }
    const char *fixed[] = {"python3",
                           "-c",
                           bootstrap,
                           path,
                           cli->json ? "json" : "people",
                           timeout,
                           cli->key ? cli->key : "-"};
    for (; at < sizeof fixed / sizeof *fixed; at++) {
        argv[at] = fixed[at];
    }
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        for (size_t i = 0; i < lists[l].texts->count; i++) {
            argv[at++] = lists[l].name;
            argv[at++] = lists[l].texts->at[i];
        }
    }
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    fprintf(stderr, "shoal node: python3: %s\n", strerror(errno));
    free(argv);
    return CLI_FAILED;
}
