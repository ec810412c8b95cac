"""Programs under test: started in the environment of a user, read line by line with patience, stopped at the end."""
import os
import pathlib
import re
import select
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SHOAL_BUILD_DIR") or ROOT / "build/dev")
PATIENCE_S = 60
ADDRESS = re.compile(r"/ip4/\S+/p2p/\w+")


def environment():
    """What `eval "$(./run env)"` sets, for the build tree under test."""
    env = dict(os.environ, SHOAL_BUILD_DIR=str(BUILD), PYTHONDONTWRITEBYTECODE="1")
    for name, value, between in (
        ("PATH", f"{BUILD}/bin", ":"), ("LD_LIBRARY_PATH", f"{BUILD}/lib", ":"), ("PKG_CONFIG_PATH", f"{BUILD}/pkgconfig", ":"),
        ("PYTHONPATH", f"{BUILD}/python", ":"), ("LUA_PATH", f"{BUILD}/lua/?.lua;{BUILD}/lua/?/init.lua", ";"),
        ("LUA_CPATH", f"{BUILD}/lua/?.so", ";"),
    ):
        env[name] = value + between + env.get(name, ";" if between == ";" else "")
    return env


class Program:
    """A running command. Its output and errors are one stream of lines."""

    def __init__(self, command, cwd):
        self.command = command
        self.text = ""
        self.process = subprocess.Popen(
            ["bash", "-c", command] if isinstance(command, str) else command, cwd=cwd, env=environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # ignored in what a shell starts with &

    def read(self, until):
        """Reads until `until(text)` is true of all that was printed; returns what it returned."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := until(self.text)):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                why = "it ended" if ready else f"{PATIENCE_S} s are over"
                raise AssertionError(f"{self.command}: {why}; it printed:\n{self.text}")
            self.text += data.decode(errors="replace")
        return found

    def wait_for(self, line):
        self.read(lambda text: line in text.splitlines())

    def address(self):
        """The first multiaddr that it prints."""
        return self.read(lambda text: (found := ADDRESS.search(text)) and text.endswith("\n") and found.group())

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def finish(self):
        """Ends its input, reads the rest; returns the exit status and all that was printed."""
        try:
            rest, _ = self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired as late:
            text = self.text + (late.stdout or b"").decode(errors="replace")
            raise AssertionError(f"{self.command}: has not ended in {PATIENCE_S} s; it printed:\n{text}") from None
        self.text += rest.decode(errors="replace")
        return self.process.returncode, self.text

    def interrupt(self):
        """Ctrl-C: to everything in its session."""
        os.killpg(self.process.pid, signal.SIGINT)

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run(command, cwd):
    """Runs a command to its end: exit status and output."""
    with Program(command, cwd) as program:
        return program.finish()


def main(cases):
    """Runs (name, function) pairs without pytest; ends with the closing line."""
    passed = failed = 0
    for name, case in cases:
        try:
            case()
            passed += 1
        except Exception as error:  # noqa: BLE001 (each case is told and counted)
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0
