"""tests/support/lines.py - a program under test whose lines are read as they come, with patience."""
import os
import select
import subprocess
import time

PATIENCE_S = 30


class Program:
    """A process; what it prints is read a line at a time."""

    def __init__(self, *command, **how):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, **how)
        self.rest = b""

    def line(self, patience_s=PATIENCE_S):
        end = time.monotonic() + patience_s
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))[0]:
                raise AssertionError(f"no line within {patience_s} s from {self.process.args}; so far {self.rest!r}")
            got = os.read(self.process.stdout.fileno(), 1 << 20)
            if not got:
                said = self.process.stderr.read() if self.process.stderr else b""
                raise AssertionError(f"{self.process.args} ended with {self.process.wait()}: {self.rest!r} {said!r}")
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode(errors="replace")

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def close(self):
        """Ends it, if it has not, and waits until it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
