"""A gRPC service in Go, which knows nothing of Dapr, called through two sidecars: every kind of call, errors, metadata."""

import queue
import subprocess

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import DoubleValue, StringValue
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from processes import free_port

INTEROP = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
]


class Prices:
    """A client of `shop.Prices` through a sidecar; its messages are those that every language has."""

    def __init__(self, address, app_id):
        self.channel = grpc.insecure_channel(address)
        self.target = (("dapr-app-id", app_id),)

    def method(self, kind, name, answer=DoubleValue):
        """A method of one of the four kinds."""
        return getattr(self.channel, kind)(f"/shop.Prices/{name}", StringValue.SerializeToString, answer.FromString)

    def get(self, name, metadata=(), timeout=30):
        """The price of one thing."""
        return self.method("unary_unary", "Get")(StringValue(value=name), metadata=self.target + metadata, timeout=timeout).value

    def list(self, names):
        """The prices of several things, as they come."""
        return (p.value for p in self.method("unary_stream", "List")(StringValue(value=names), metadata=self.target, timeout=30))

    def total(self, names):
        """The sum of the prices of what is sent."""
        return self.method("stream_unary", "Total")((StringValue(value=n) for n in names), metadata=self.target, timeout=30).value

    def quote(self, names):
        """The price of each thing that is sent, one by one."""
        return (p.value for p in self.method("stream_stream", "Quote")((StringValue(value=n) for n in names), metadata=self.target, timeout=30))


@pytest.fixture(scope="module")
def service(shared, go_program):
    """The service behind its sidecar."""
    port = free_port()
    shared.program("go-service", [go_program, "serve", port], port)
    return shared.sidecar("prices", app_port=port, app_protocol="grpc")


@pytest.fixture(scope="module")
def caller(shared, service):
    """Another sidecar."""
    return shared.sidecar("caller")


@pytest.fixture(scope="module", params=["through two sidecars", "through its own"])
def prices(request, service, caller):
    """A client, over the network and within one sidecar."""
    return Prices((caller if request.param == "through two sidecars" else service).address, service.app_id)


@pytest.mark.parametrize("case", INTEROP)
def test_interoperability(caller, service, go_program, case):
    """gRPC's own interoperability cases, with the client and the server of grpc-go."""
    command = [go_program, "call", caller.address, service.app_id, case]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_four_kinds_of_calls(prices):
    """Unary, streams from the server, from the client, and both ways."""
    assert prices.get("apple") == 0.5
    assert list(prices.list("apple pear plum")) == [0.5, 0.75, 0.25]
    assert prices.total(["plum"] * 1000) == 250.0
    assert list(prices.quote(["pear", "apple"] * 500)) == [0.75, 0.5] * 500


def test_both_ways_at_the_same_time(prices):
    """Each answer comes before the next question is sent: nothing is held back on the way."""
    questions = queue.SimpleQueue()
    answers = prices.method("stream_stream", "Quote")(iter(questions.get, None), metadata=prices.target, timeout=30)
    for _ in range(20):
        questions.put(StringValue(value="plum"))
        assert next(answers).value == 0.25
    questions.put(None)
    assert list(answers) == []


def test_an_error_comes_with_its_details(prices):
    """Code, message and details are the service's own; also after a stream has begun."""
    with pytest.raises(grpc.RpcError) as refused:
        prices.get("unicorn")
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.NOT_FOUND, "we do not sell unicorn")
    info = error_details_pb2.ErrorInfo()
    assert rpc_status.from_call(refused.value).details[0].Unpack(info)
    assert (info.reason, dict(info.metadata)) == ("NOT_SOLD", {"name": "unicorn"})
    came = []
    with pytest.raises(grpc.RpcError) as refused:
        for price in prices.list("apple unicorn"):
            came.append(price)
    assert (came, refused.value.code()) == ([0.5], grpc.StatusCode.NOT_FOUND)


def test_metadata_both_ways(prices):
    """Metadata, also binary, reach the service; its header and trailer reach the caller."""
    context = prices.method("unary_unary", "Context", Struct)
    metadata = (*prices.target, ("x-colour", "red"), ("x-key-bin", b"\x00\x01abc"))
    seen, call = context.with_call(StringValue(), metadata=metadata, timeout=30)
    assert (seen["x-colour"], seen["x-key-bin"]) == ("red", "\x00\x01abc")
    header, trailer = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert header["x-shop"] == "open" and header["x-raw-bin"] == b"\x00\xff"
    assert trailer["x-till"] == "closed"


def test_an_application_that_is_not_there(caller):
    """A proxied call to nobody is an error, and no wait without end."""
    with pytest.raises(grpc.RpcError) as refused:
        Prices(caller.address, "nobody-of-this-name").get("apple")
    assert refused.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN)


def test_a_call_without_a_target(caller):
    """Without `dapr-app-id` the sidecar says that it does not know where to."""
    nobody = Prices(caller.address, "x")
    nobody.target = ()
    with pytest.raises(grpc.RpcError) as refused:
        nobody.get("apple")
    assert refused.value.code() in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED)
