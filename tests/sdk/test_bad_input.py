"""Requests and set-ups that are wrong: a clear answer, and a sidecar that goes on, or ends with a clear reason."""

import contextlib
import json
import socket
import threading

import grpc
import pytest
import requests
from dapr.clients.exceptions import DaprGrpcError

from processes import free_port, wait_until
from resources import component
from stage import client, error_code


@pytest.fixture(scope="module")
def sidecar(shared):
    """A sidecar with an application and a store."""
    resources = [component("store", "state.in-memory"), component("pubsub", "pubsub.in-memory")]
    return shared.sidecar("sound", resources=resources, app_port=shared.receiver().port)


def test_bodies_over_the_limit(sidecar):
    """More than 4 MiB: an error over HTTP, RESOURCE_EXHAUSTED over gRPC; nothing of it is kept, and the next is served."""
    large = "x" * (5 << 20)
    bodies = {"state/store": [{"key": "large", "value": large}], f"invoke/{sidecar.app_id}/method/x": large, "publish/pubsub/topic": large}
    for path, body in bodies.items():
        with contextlib.suppress(requests.ConnectionError):  # the connection may be closed while the body is still sent
            answer = requests.post(f"{sidecar.url}/{path}", json=body)
            assert answer.status_code in (400, 413, 500) and "too large" in answer.text, (path, answer.status_code, answer.text[:200])
    with client(sidecar) as dapr:
        with pytest.raises(DaprGrpcError) as refused:
            dapr.save_state("store", "large", large)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert dapr.get_state("store", "large").data == b""
        dapr.save_state("store", "small", "x")


@pytest.mark.parametrize("body", ["{", "[1", '"text"', '[{"key": 1}]', "\0", ""])
def test_malformed_json(sidecar, body):
    """400 with a code, whatever is wrong with it."""
    answer = requests.post(f"{sidecar.url}/state/store", data=body, headers={"content-type": "application/json"})
    assert (answer.status_code, error_code(answer)) == (400, "ERR_MALFORMED_REQUEST")


def test_illegal_keys(sidecar):
    """`||` parts prefix and key in the store, so it may not be in a key."""
    answer = requests.post(f"{sidecar.url}/state/store", json=[{"key": "a||b", "value": 1}])
    assert (answer.status_code, error_code(answer)) == (400, "ERR_MALFORMED_REQUEST")


class RawApp:
    """An application that answers each request with bytes of our choice, and closes the connection."""

    def __init__(self, answer):
        self.answer = answer
        self.port = free_port()
        self.socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with contextlib.suppress(OSError), connection:
            request = connection.recv(65536)
            nothing = request.startswith(b"GET /dapr/")
            connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n" if nothing else self.answer)

    def close(self):
        """Ends it."""
        self.socket.close()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 20", id="half a status line"),
        pytest.param(b"not HTTP at all\r\n\r\n", id="no HTTP"),
    ],
)
def test_an_application_that_answers_nonsense(stage, answer):
    """500 with ERR_DIRECT_INVOKE; the sidecar stays healthy."""
    app = RawApp(answer)
    sidecar = stage.sidecar("broken", app_port=app.port)
    got = sidecar.invoke(sidecar.app_id, "x")
    assert (got.status_code, error_code(got)) == (500, "ERR_DIRECT_INVOKE")
    sidecar.wait_ready(5)
    app.close()


def test_an_application_that_answers_half(stage):
    """A body that is cut short does not look whole to the caller, or is passed as far as it came; the sidecar goes on."""
    app = RawApp(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    sidecar = stage.sidecar("broken", app_port=app.port)
    try:
        got = sidecar.invoke(sidecar.app_id, "x")
        assert got.status_code == 500 or got.content in (b"half", b"")
    except requests.RequestException:
        pass
    sidecar.wait_ready(5)
    app.close()


def test_an_application_that_is_not_up(stage):
    """The API is there, the sidecar is not healthy until the application's port opens."""
    port = free_port()
    sidecar = stage.sidecar("early", app_port=port, ready=False)
    wait_until(lambda: requests.get(f"{sidecar.url}/healthz/outbound", timeout=2).ok, "its API is there", programs=[sidecar])
    assert requests.get(f"{sidecar.url}/healthz").status_code == 500
    stage.receiver(port=port)
    sidecar.wait_ready(15)


BAD_SETS = {
    "an unknown type": ([component("a", "state.nothing")], "state.nothing"),
    "an unknown version": ([component("a", "state.in-memory").replace('"v1"', '"v9"')], "v9"),
    "two of one name": ([component("twice", "state.in-memory"), component("twice", "pubsub.in-memory")], "twice"),
    "a field that is missing": ([component("a", "secretstores.local.file")], "a"),
    "a server that is not there": ([component("a", "state.redis", redisHost="127.0.0.1:1", redisPassword="", maxRetries="0")], "a"),
    "a rule that is no CEL": (
        [
            component("pubsub", "pubsub.in-memory"),
            json.dumps(
                {
                    "apiVersion": "dapr.io/v2alpha1",
                    "kind": "Subscription",
                    "metadata": {"name": "s"},
                    "spec": {"pubsubname": "pubsub", "topic": "t", "routes": {"rules": [{"match": "event.type ==", "path": "/x"}]}},
                }
            ),
        ],
        "",
    ),
}


@pytest.mark.parametrize("what", BAD_SETS)
def test_resources_that_end_the_sidecar(stage, what):
    """The sidecar ends with code 1 and says what is wrong."""
    resources, word = BAD_SETS[what]
    sidecar = stage.sidecar("bad", resources=resources, ready=False, app_port=stage.receiver().port)
    assert sidecar.wait(40) == 1
    fatal = [line for line in sidecar.output().splitlines() if "level=fatal" in line or "level=error" in line]
    assert fatal and word in "".join(fatal), sidecar.tail()


def test_an_error_that_is_ignored(stage):
    """`ignoreErrors` lets the sidecar come up without the component."""
    bad = json.loads(component("bad", "secretstores.local.file"))
    bad["spec"]["ignoreErrors"] = True
    sidecar = stage.sidecar("lenient", resources=[json.dumps(bad), component("good", "state.in-memory")])
    assert [c["name"] for c in sidecar.metadata()["components"]] == ["good"]


def test_files_that_are_no_resources(stage):
    """Broken YAML, other kinds and other versions are skipped with a line in the log."""
    resources = ["a: [", "kind: Something\nmetadata: {name: x}", component("good", "state.in-memory")]
    sidecar = stage.sidecar("lenient", resources=resources)
    assert [c["name"] for c in sidecar.metadata()["components"]] == ["good"]


@pytest.mark.parametrize("port", ["http_port", "grpc_port", "internal_port"])
def test_a_port_in_use(stage, port, implementation):
    """The sidecar ends, and ours names the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        sidecar = stage.sidecar("late", start=False)
        before = str(getattr(sidecar, port))
        sidecar.command = [str(number) if part == before else part for part in sidecar.command]
        sidecar.start()
        assert sidecar.wait(40) == 1
        assert "level=fatal" in sidecar.output()
        assert str(number) in sidecar.output() or not implementation.ours


@pytest.mark.parametrize("flags", [["--no-such-flag"], ["--dapr-graceful-shutdown-seconds", "soon"]])
def test_flags_that_are_wrong(stage, flags):
    """Exit code 2, and the flag is named."""
    sidecar = stage.sidecar("bad", flags=flags, ready=False)
    assert sidecar.wait(10) == 2
    assert flags[0].strip("-") in sidecar.output()
