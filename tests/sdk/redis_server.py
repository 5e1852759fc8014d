"""A Redis server of our own, which can be killed and started again with its data."""

import shutil

import pytest

from processes import Program, free_port, listens, wait_until


class Redis(Program):
    """A server on loopback that writes each command to its append-only file before it answers."""

    def __init__(self, folder):
        server = shutil.which("redis-server")
        if server is None:
            pytest.fail("redis-server is not installed")
        self.port = free_port()
        data = folder / "redis"
        data.mkdir()
        command = [server, "--port", self.port, "--bind", "127.0.0.1", "--dir", data, "--save", "", "--appendonly", "yes"]
        super().__init__("redis", command, folder)

    @property
    def host(self):
        """What components take as `redisHost`."""
        return f"127.0.0.1:{self.port}"

    def start(self):
        """Starts it and waits until it accepts connections."""
        super().start()
        wait_until(lambda: listens(self.port), "redis accepts connections", programs=[self])
        return self
