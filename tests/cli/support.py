"""What the tests of the shoal command share: running it, hosts to talk to, the closing line."""
import atexit
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import lines  # noqa: E402

ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("SHOAL_BUILD_DIR") or ROOT / "build/dev")
SHOAL = str(BUILD / "bin/shoal")
PATIENCE_S = 20
LISTEN = ("--listen", "/ip4/127.0.0.1/tcp/0")

scratch = pathlib.Path(tempfile.mkdtemp(prefix="shoal-cli-"))
atexit.register(shutil.rmtree, scratch, ignore_errors=True)


def shoal(*args, **named):
    """Runs a command to its end: exit status, standard output, standard error."""
    done = subprocess.run([SHOAL, *map(os.fsdecode, args)], capture_output=True, text=True, timeout=PATIENCE_S, **named)
    return done.returncode, done.stdout, done.stderr


def rows(*args):
    """The objects that a command printed with --json, and its exit status."""
    status, out, _ = shoal(*args, "--json")
    return status, [json.loads(line) for line in out.splitlines()]


class Program(lines.Program):
    """One that goes on running."""

    def __init__(self, *command, **named):
        super().__init__(*command, stderr=subprocess.PIPE, **named)

    def line_with(self, word):
        while word not in (line := self.line()):
            pass
        return line

    def end(self, number=signal.SIGTERM):
        """Sends a signal; the exit status, and what it still said on standard error."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said.decode()


def host_program():
    """tests/cli/host.c, built once against the library of the build tree."""
    program = scratch / "host"
    if not program.exists():
        subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", program, HERE / "host.c",
                        f"-I{ROOT}/abi/include", f"-L{BUILD}/lib", f"-Wl,-rpath,{BUILD}/lib", "-lshoal"], check=True)
    return program


class Host(Program):
    """A node with the actor of host.c."""

    def __init__(self, name, *admin):
        super().__init__(host_program(), name, *admin)
        self.address = self.line()
        self.ref = self.line()


def main():
    result = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    broken = {getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors}  # a test once, not each of its cases
    failed, skipped = len(broken), len(result.skipped)
    print(f"{max(result.testsRun - failed - skipped, 0)} passed, {failed} failed, {skipped} skipped")
    sys.exit(bool(failed))
