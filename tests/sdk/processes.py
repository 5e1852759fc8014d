"""Programs that the tests start: ports, logs, waiting, and the certainty that they end."""

import atexit
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

RUNNING = set()


def free_port():
    """A port that nobody has, below those that the system gives to outgoing connections."""
    while True:
        port = random.randrange(10000, 30000)
        with contextlib.closing(socket.socket()) as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(check, what, timeout=30.0, every=0.05, programs=()):
    """Calls `check` until it gives something true, and gives that. An OSError, or one of `requests`, means not yet."""
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = check()
            if value:
                return value
        except (OSError, ValueError) as error:
            last = error
        for program in programs:
            if program.process.poll() is not None:
                raise AssertionError(f"{program.name} ended with {program.process.returncode} before: {what}\n{program.tail()}")
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}" + (f" ({last})" if last else ""))
        time.sleep(every)


def listens(port):
    """Whether something accepts connections on a port."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), 1)):
        return True


class Program:
    """A program in a process group of its own, whose output goes to a file."""

    def __init__(self, name, command, folder, env=None, cwd=None):
        self.name = name
        self.command = [str(part) for part in command]
        self.env = {**os.environ, **(env or {})}
        self.cwd = cwd
        self.log = Path(folder) / f"{name}.log"
        self.process = None

    def start(self):
        """Starts it; again, if it ran before."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self.env, cwd=self.cwd, start_new_session=True
            )
        RUNNING.add(self)
        return self

    def output(self):
        """All that it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=60):
        """The last lines that it has printed."""
        return "\n".join(self.output().splitlines()[-lines:])

    def json_lines(self):
        """The objects among the lines that it has printed."""
        objects = []
        for line in self.output().splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    objects.append(json.loads(line))
        return objects

    def wait_for_json(self, timeout=30, **fields):
        """The first object among its lines that has these fields."""

        def find():
            return next((o for o in self.json_lines() if all(o.get(k) == v for k, v in fields.items())), None)

        return wait_until(find, f"a line of {self.name} with {fields}", timeout)

    def signal(self, number):
        """Sends a signal to its whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self):
        """Ends it at once, as a crash would."""
        self.signal(signal.SIGKILL)
        self.process.wait()
        RUNNING.discard(self)

    def stop(self, timeout=10):
        """Asks it to end, and ends it if it does not; its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        self.kill()
        return self.process.returncode

    def wait(self, timeout=60):
        """Waits for its end; its exit code."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout} s\n{self.tail()}") from None
        RUNNING.discard(self)
        return self.process.returncode


@atexit.register
def _end_all():
    for program in list(RUNNING):
        program.kill()
