"""What the programs of one test, or of one file of tests, stand on: a folder, a way to find each other, and their end."""

import sys
from contextlib import contextmanager
from pathlib import Path

import requests
from dapr.clients import DaprClient
from dapr.conf import settings

from processes import Program, listens, wait_until
from receiver import Receiver
from redis_server import Redis
from resources import configuration, names_in
from sidecar import Sidecar

APPS = Path(__file__).parent / "apps"
JS = Path(__file__).parent / "js"


class Stage:
    """Starts sidecars, applications and servers, and ends them all."""

    def __init__(self, implementation, folder):
        self.implementation = implementation
        self.folder = folder
        self.programs = []
        self.receivers = []

    def sidecar(self, name, *, implementation=None, ready=True, start=True, config=None, mdns=False, **arguments):
        """A sidecar that finds the others of this stage; its application's id begins with the name. It is waited for unless
        `ready` is false. Ours find each other in a file, unless `mdns` is set."""
        implementation = implementation or self.implementation
        spec = dict(config or {})
        if implementation.ours and not mdns:
            spec.setdefault("nameResolution", names_in(self.folder / "names.db"))
        sidecar = Sidecar(implementation, name, self.folder, config=configuration(**spec), **arguments)
        self.programs.append(sidecar)
        if start:
            sidecar.start()
        if start and ready:
            sidecar.wait_ready()
        return sidecar

    def program(self, name, command, port=None, **arguments):
        """Any program; its port is waited for if it has one."""
        program = Program(name, command, self.folder, **arguments).start()
        self.programs.append(program)
        if port:
            wait_until(lambda: listens(port), f"{name} accepts connections", 60, programs=[program])
        return program

    def python(self, script, *arguments, name=None, port=None, env=None):
        """One of the Python applications in `apps/`."""
        return self.program(name or Path(script).stem, [sys.executable, "-u", APPS / script, *arguments], port, env=env)

    def node(self, script, *arguments, name=None, port=None, env=None):
        """One of the JavaScript programs in `js/`."""
        return self.program(name or Path(script).stem, ["node", JS / script, *arguments], port, env=env, cwd=JS)

    def receiver(self, subscriptions=(), port=None):
        """An application in this process that keeps what it gets."""
        receiver = Receiver(subscriptions, port)
        self.receivers.append(receiver)
        return receiver

    def redis(self):
        """A Redis server."""
        redis = Redis(self.folder).start()
        self.programs.append(redis)
        return redis

    def logs(self):
        """The names and last lines of all programs."""
        return [(program.name, program.tail()) for program in self.programs]

    def close(self):
        """Ends everything, the last first."""
        for program in reversed(self.programs):
            program.stop()
        for receiver in self.receivers:
            receiver.close()


@contextmanager
def client(sidecar, **arguments):
    """The official Python client of a sidecar. Its HTTP half knows one sidecar at a time: do not nest."""
    settings.DAPR_HTTP_ENDPOINT = f"http://127.0.0.1:{sidecar.http_port}"
    try:
        with DaprClient(sidecar.address, **arguments) as dapr:
            yield dapr
    finally:
        settings.DAPR_HTTP_ENDPOINT = None


def error_code(response: requests.Response):
    """The error code in an answer of the HTTP API."""
    return response.json()["errorCode"]
