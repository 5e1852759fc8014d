"""Sidecars under test: ours or the original's, they have the same flags."""

import secrets
from dataclasses import dataclass
from pathlib import Path

import requests

from processes import Program, free_port, wait_until


@dataclass(frozen=True)
class Implementation:
    """What is called to start a sidecar."""

    name: str
    command: tuple

    @property
    def ours(self):
        """Whether it is Outrigger."""
        return self.name == "outrigger"

    @staticmethod
    def outrigger(path):
        """Our executable, which is all programs."""
        return Implementation("outrigger", (str(Path(path).absolute()), "daprd"))

    @staticmethod
    def original(path):
        """A program that is nothing but the sidecar."""
        return Implementation("original", (str(Path(path).absolute()),))


class Sidecar(Program):
    """A sidecar with ports of its own on loopback. What it loads is given as YAML text."""

    def __init__(self, implementation, name, folder, resources=(), config="", app_port=None, app_protocol="http", flags=(), env=None, app_id=None):
        # Other tests may run on the same network, where sidecars find each other by the application's id.
        self.app_id = app_id or f"{name}-{secrets.token_hex(3)}"
        self.http_port, self.grpc_port, self.internal_port, self.metrics_port = (free_port() for _ in range(4))
        files = Path(folder) / f"{name}.files"
        (files / "resources").mkdir(parents=True)
        for number, text in enumerate(resources):
            (files / "resources" / f"{number}.yaml").write_text(text)
        command = [
            *implementation.command,
            *("--app-id", self.app_id),
            *("--dapr-http-port", self.http_port),
            *("--dapr-grpc-port", self.grpc_port),
            *("--dapr-internal-grpc-port", self.internal_port),
            *("--dapr-internal-grpc-listen-address", "127.0.0.1"),
            *("--dapr-listen-addresses", "127.0.0.1"),
            *("--metrics-port", self.metrics_port),
            *("--metrics-listen-address", "127.0.0.1"),
            *("--resources-path", files / "resources"),
            *("--placement-host-address", ""),
            *("--scheduler-host-address", ""),
        ]
        if config:
            (files / "config.yaml").write_text(config)
            command += ["--config", files / "config.yaml"]
        if app_port:
            command += ["--app-port", app_port, "--app-protocol", app_protocol]
        super().__init__(name, [*command, *flags], folder, {"DAPR_HOST_IP": "127.0.0.1", **(env or {})})

    @property
    def url(self):
        """Where its HTTP API is, with the version."""
        return f"http://127.0.0.1:{self.http_port}/v1.0"

    @property
    def address(self):
        """Where its gRPC API is."""
        return f"127.0.0.1:{self.grpc_port}"

    def wait_ready(self, timeout=30):
        """Waits until it says that it is healthy."""
        wait_until(lambda: requests.get(f"{self.url}/healthz", timeout=2).ok, f"{self.name} is healthy", timeout, programs=[self])
        return self

    def metadata(self):
        """What it tells about itself."""
        return requests.get(f"{self.url}/metadata", timeout=10).json()

    def wait_subscribed(self, topic, timeout=30):
        """Waits until it has a subscription to a topic."""
        wait_until(lambda: any(s["topic"] == topic for s in self.metadata().get("subscriptions") or ()), f"{self.name} has subscribed to {topic}", timeout)

    def invoke(self, app_id, method, verb="POST", **arguments):
        """Calls a method of an application over HTTP."""
        return requests.request(verb, f"{self.url}/invoke/{app_id}/method/{method}", timeout=30, **arguments)

    def publish(self, pubsub, topic, data=None, **arguments):
        """Publishes over HTTP."""
        if data is not None:
            arguments["json"] = data
        return requests.post(f"{self.url}/publish/{pubsub}/{topic}", timeout=30, **arguments)
