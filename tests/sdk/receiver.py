"""An application, in the process of the tests, that subscribes to topics and keeps what it gets."""

import contextlib
import json
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from processes import free_port, wait_until


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments):
        self.connections = set()
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """A connection that breaks is nothing to tell."""

    def cut(self):
        """Ends all connections, also those that wait for their next request."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Receiver:
    """Answers `/dapr/subscribe`, keeps the events of each route, and answers anything else with what it got.

    `answer` may be set to a function from a route and an event to a status, or to a status and a body; an event is kept
    only if the status is 200.
    """

    def __init__(self, subscriptions=(), port=None):
        self.subscriptions = list(subscriptions)
        self.answer = None
        self.events = []
        self.lock = threading.Lock()
        self.server = None
        self.port = port or free_port()
        self.open()

    def open(self):
        """Listens; again on the same port, if it did before."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):  # noqa: N802
                if self.path == "/dapr/subscribe":
                    self.reply(200, json.dumps(receiver.subscriptions).encode())
                elif self.path == "/dapr/config":
                    self.reply(404)
                else:
                    self.echo(b"")

            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.path.startswith("/on/"):
                    self.reply(*receiver.take(self.path[4:], json.loads(body)))
                else:
                    self.echo(body)

            def echo(self, body):
                seen = {"verb": self.command, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body.decode()}
                self.reply(200, json.dumps(seen).encode())

            do_PUT = do_DELETE = do_PATCH = do_POST

            def reply(self, status, body=b""):
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = _Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def take(self, route, event):
        """Decides on an event; the status and the body of the answer."""
        answer = self.answer(route, event) if self.answer else 200
        status, body = answer if isinstance(answer, tuple) else (answer, b"")
        if status == 200:
            with self.lock:
                self.events.append((route, event))
        return status, body

    def close(self):
        """Refuses new connections, and ends those that there are: it is as if the application had died."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server.cut()
            self.server = None

    def of(self, route):
        """The events of a route, in the order of their coming."""
        with self.lock:
            return [event for at, event in self.events if at == route]

    def counts(self, route):
        """How often each piece of data came by a route."""
        return Counter(json.dumps(event.get("data")) for event in self.of(route))

    def wait_for(self, route, count=1, timeout=30):
        """Waits until at least so many events have come by a route; those events."""
        wait_until(lambda: len(self.of(route)) >= count, f"{count} events at {route}", timeout)
        return self.of(route)


def subscribe(pubsub, topic, route, **more):
    """An entry of the list that `/dapr/subscribe` answers with. Routes begin with `/on/`."""
    return {"pubsubname": pubsub, "topic": topic, "route": f"/on/{route}", **more}
