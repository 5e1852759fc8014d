"""State through the Python SDK (gRPC) and plain HTTP, on three stores."""

import json
import time

import grpc
import pytest
import requests
from dapr.clients.exceptions import DaprGrpcError
from dapr.clients.grpc._request import TransactionalStateOperation, TransactionOperationType
from dapr.clients.grpc._state import Concurrency, Consistency, StateItem, StateOptions

from processes import wait_until
from resources import component
from stage import client, error_code

STORES = ["memory", "file", "redis"]
FIRST_WRITE = StateOptions(concurrency=Concurrency.first_write, consistency=Consistency.strong)


@pytest.fixture(scope="module")
def sidecar(shared):
    """One sidecar with all stores."""
    redis = shared.redis()
    stores = [
        component("memory", "state.in-memory"),
        component("file", "state.sqlite", connectionString=str(shared.folder / "state.db")),
        component("redis", "state.redis", redisHost=redis.host, redisPassword=""),
    ]
    return shared.sidecar("keeper", resources=stores)


@pytest.fixture(scope="module")
def dapr(sidecar):
    """The SDK's client of it."""
    with client(sidecar) as dapr:
        yield dapr


@pytest.fixture(params=STORES)
def store(request):
    """The name of a store."""
    return request.param


@pytest.fixture
def key(request):
    """A key that no other test uses."""
    return request.node.name


def test_what_is_saved_is_read_until_it_is_deleted(dapr, store, key):
    """Save, get, overwrite, delete; a missing key is empty."""
    assert dapr.get_state(store, key).data == b""
    dapr.save_state(store, key, json.dumps({"n": 1}))
    assert dapr.get_state(store, key).json() == {"n": 1}
    dapr.save_state(store, key, json.dumps({"n": 2, "ü": "☃"}))
    assert dapr.get_state(store, key).json() == {"n": 2, "ü": "☃"}
    dapr.delete_state(store, key)
    assert dapr.get_state(store, key).data == b""


def test_bytes_come_back_as_they_were(dapr, store, key):
    """Values that are no JSON, over gRPC."""
    value = bytes(range(256)) * 40
    dapr.save_state(store, key, value, state_metadata={"contentType": "application/octet-stream"})
    assert dapr.get_state(store, key).data == value


def test_many_keys_at_once(dapr, store, key):
    """Bulk save and bulk get; the missing one is there without data."""
    keys = [f"{key}-{n}" for n in range(20)]
    dapr.save_bulk_state(store, [StateItem(k, json.dumps(n)) for n, k in enumerate(keys)])
    items = dapr.get_bulk_state(store, [*keys, f"{key}-missing"], parallelism=5).items
    assert {i.key: i.data for i in items} == {**{k: str(n).encode() for n, k in enumerate(keys)}, f"{key}-missing": b""}
    assert all(i.etag and not i.error for i in items if i.data)


def test_a_stale_etag_is_refused(dapr, store, key):
    """The version that was read guards the next write and the deletion."""
    dapr.save_state(store, key, "one")
    old = dapr.get_state(store, key).etag
    dapr.save_state(store, key, "two", etag=old, options=FIRST_WRITE)
    with pytest.raises(DaprGrpcError) as refused:
        dapr.save_state(store, key, "three", etag=old, options=FIRST_WRITE)
    assert refused.value.code() == grpc.StatusCode.ABORTED
    with pytest.raises(DaprGrpcError):
        dapr.delete_state(store, key, etag=old, options=FIRST_WRITE)
    assert dapr.get_state(store, key).data == b"two"
    dapr.delete_state(store, key, etag=dapr.get_state(store, key).etag, options=FIRST_WRITE)
    assert dapr.get_state(store, key).data == b""


def test_the_first_writer_wins(dapr, store, key):
    """First-write without an etag creates, and does not overwrite."""
    dapr.save_state(store, key, "mine", options=FIRST_WRITE)
    with pytest.raises(DaprGrpcError):
        dapr.save_state(store, key, "yours", options=FIRST_WRITE)
    assert dapr.get_state(store, key).data == b"mine"


def test_a_transaction_is_done_as_a_whole(dapr, store, key):
    """Upserts and deletions take effect together."""
    dapr.save_state(store, f"{key}-old", "x")
    delete = TransactionOperationType.delete
    dapr.execute_state_transaction(
        store,
        [
            TransactionalStateOperation(key=f"{key}-a", data="1"),
            TransactionalStateOperation(key=f"{key}-b", data="2"),
            TransactionalStateOperation(key=f"{key}-old", data="", operation_type=delete),
        ],
    )
    assert [dapr.get_state(store, f"{key}-{k}").data for k in ("a", "b", "old")] == [b"1", b"2", b""]


def test_a_transaction_that_is_refused_changes_nothing(dapr, store, key, implementation):
    """A stale etag in the second operation undoes the first."""
    if store == "redis" and not implementation.ours:
        pytest.skip("not for the original: it says of itself that its Redis store does not roll back")
    dapr.save_state(store, f"{key}-b", "kept")
    with pytest.raises(DaprGrpcError):
        dapr.execute_state_transaction(
            store,
            [
                TransactionalStateOperation(key=f"{key}-a", data="1"),
                TransactionalStateOperation(key=f"{key}-b", data="2", etag="4711"),
            ],
        )
    assert [dapr.get_state(store, f"{key}-{k}").data for k in ("a", "b")] == [b"", b"kept"]


def test_a_value_is_gone_after_its_time_to_live(dapr, store, key):
    """`ttlInSeconds` on save; the value is there before, and not after."""
    dapr.save_state(store, key, "brief", state_metadata={"ttlInSeconds": "2"})
    dapr.save_state(store, f"{key}-lasting", "long", state_metadata={"ttlInSeconds": "600"})
    saved = time.monotonic()
    first = dapr.get_state(store, key).data
    assert first == b"brief" or time.monotonic() - saved > 1
    wait_until(lambda: dapr.get_state(store, key).data == b"", "the value is gone", 10, 0.2)
    assert dapr.get_state(store, f"{key}-lasting").data == b"long"


def test_over_http(sidecar, store, key):
    """The same state over HTTP: save a list, get with ETag, If-Match, 204 for what is not there, bulk, delete."""
    url = f"{sidecar.url}/state/{store}"
    assert requests.post(url, json=[{"key": f"{key}-{n}", "value": {"n": n}} for n in range(3)]).status_code == 204
    got = requests.get(f"{url}/{key}-1")
    assert (got.status_code, got.json()) == (200, {"n": 1})
    assert requests.get(f"{url}/{key}-missing").status_code == 204
    bulk = requests.post(f"{url}/bulk", json={"keys": [f"{key}-0", f"{key}-2", f"{key}-missing"]}).json()
    assert {i["key"]: i.get("data") for i in bulk} == {f"{key}-0": {"n": 0}, f"{key}-2": {"n": 2}, f"{key}-missing": None}
    stale = requests.delete(f"{url}/{key}-1", headers={"If-Match": "4711"})
    assert (stale.status_code, error_code(stale)) == (409, "ERR_STATE_DELETE")
    assert requests.delete(f"{url}/{key}-1", headers={"If-Match": got.headers["ETag"]}).status_code == 204
    assert requests.get(f"{url}/{key}-1").status_code == 204


def test_both_apis_see_the_same(sidecar, dapr, store, key):
    """What is saved over HTTP is read over gRPC, and the other way round."""
    requests.post(f"{sidecar.url}/state/{store}", json=[{"key": key, "value": [1, "two", None]}]).raise_for_status()
    assert dapr.get_state(store, key).json() == [1, "two", None]
    dapr.save_state(store, key, '{"by": "grpc"}')
    assert requests.get(f"{sidecar.url}/state/{store}/{key}").json() == {"by": "grpc"}


def test_a_store_that_is_not_there(sidecar, dapr):
    """400 over HTTP, INVALID_ARGUMENT over gRPC, with the code that SDKs look for."""
    missing = requests.get(f"{sidecar.url}/state/nowhere/key")
    assert (missing.status_code, error_code(missing)) == (400, "ERR_STATE_STORE_NOT_FOUND")
    with pytest.raises(DaprGrpcError) as refused:
        dapr.get_state("nowhere", "key")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_state_outlives_the_sidecar(stage):
    """state.sqlite has after a crash of the sidecar what was acknowledged before."""
    store = component("file", "state.sqlite", connectionString=str(stage.folder / "state.db"))
    sidecar = stage.sidecar("keeper", resources=[store])
    for n in range(50):
        requests.post(f"{sidecar.url}/state/file", json=[{"key": str(n), "value": n}]).raise_for_status()
    sidecar.kill()
    sidecar.start().wait_ready()
    assert [requests.get(f"{sidecar.url}/state/file/{n}").json() for n in range(50)] == list(range(50))
