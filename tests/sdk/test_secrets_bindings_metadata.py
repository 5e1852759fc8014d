"""Secrets, the output binding `http`, metadata and health through the Python SDK and HTTP."""

import json

import grpc
import pytest
import requests

from resources import component
from stage import client, error_code

SECRETS = {"password": "hunter2", "redis": {"host": "localhost", "login": {"user": "me"}}, "hidden": "unseen"}


@pytest.fixture(scope="module")
def app(shared):
    """What the binding calls."""
    return shared.receiver()


@pytest.fixture(scope="module")
def sidecar(shared, app):
    """One sidecar with secret stores, a binding and a scope."""
    secrets = shared.folder / "secrets.json"
    secrets.write_text(json.dumps(SECRETS))
    resources = [
        component("file", "secretstores.local.file", secretsFile=str(secrets), nestedSeparator=":"),
        component("several", "secretstores.local.file", secretsFile=str(secrets), multiValued="true"),
        component("env", "secretstores.local.env"),
        component("web", "bindings.http", url=f"http://127.0.0.1:{app.port}/base"),
        component("foreign", "state.in-memory", scopes=["another-application"]),
    ]
    scopes = {"scopes": [{"storeName": "file", "defaultAccess": "allow", "deniedSecrets": ["hidden"]}]}
    env = {"OUTRIGGER_TEST_SECRET": "from the environment"}
    return shared.sidecar("safe", resources=resources, config={"secrets": scopes}, env=env, app_port=app.port)


@pytest.fixture(scope="module")
def dapr(sidecar):
    """The SDK's client."""
    with client(sidecar) as dapr:
        yield dapr


def test_secrets_of_a_file(dapr):
    """A secret by its name, and a nested one by its path."""
    assert dapr.get_secret("file", "password").secret == {"password": "hunter2"}
    assert dapr.get_secret("file", "redis:login:user").secret == {"redis:login:user": "me"}


def test_secrets_with_several_values(dapr):
    """A multi-valued store gives what is nested as one secret."""
    assert dapr.get_secret("several", "redis").secret == {"host": "localhost", "login:user": "me"}


def test_secrets_of_the_environment(dapr, sidecar):
    """A variable of the sidecar's, over gRPC and HTTP."""
    assert dapr.get_secret("env", "OUTRIGGER_TEST_SECRET").secret == {"OUTRIGGER_TEST_SECRET": "from the environment"}
    assert requests.get(f"{sidecar.url}/secrets/env/OUTRIGGER_TEST_SECRET").json() == {"OUTRIGGER_TEST_SECRET": "from the environment"}


def test_scopes_hide_a_secret(dapr, sidecar):
    """A denied secret is refused by name and absent from the bulk answer."""
    assert set(dapr.get_bulk_secret("file").secrets) == {"password", "redis:host", "redis:login:user"}
    with pytest.raises(grpc.RpcError) as refused:
        dapr.get_secret("file", "hidden")
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    answer = requests.get(f"{sidecar.url}/secrets/file/hidden")
    assert (answer.status_code, error_code(answer)) == (403, "ERR_PERMISSION_DENIED")


def test_secrets_that_are_not_there(sidecar):
    """An unknown store is 401; an unknown secret is 500."""
    store = requests.get(f"{sidecar.url}/secrets/nowhere/password")
    assert (store.status_code, error_code(store)) == (401, "ERR_SECRET_STORE_NOT_FOUND")
    secret = requests.get(f"{sidecar.url}/secrets/file/nothing")
    assert (secret.status_code, error_code(secret)) == (500, "ERR_SECRET_GET")


def test_the_binding_calls_out(dapr, app):
    """The operation is the verb, `path` is appended, capitalised metadata are headers, the answer's status is metadata."""
    answer = dapr.invoke_binding("web", "post", json.dumps({"n": 1}), {"path": "/orders", "X-Colour": "red"})
    seen = answer.json()
    assert (seen["verb"], seen["path"], seen["headers"]["x-colour"]) == ("POST", "/base/orders", "red")
    assert json.loads(seen["body"]) == {"n": 1}
    assert answer.binding_metadata["statusCode"] == "200"
    assert dapr.invoke_binding("web", "get").json()["verb"] == "GET"


def test_bindings_that_cannot_be_called(dapr, sidecar):
    """An operation that is none, and a binding that is not there."""
    with pytest.raises(grpc.RpcError):
        dapr.invoke_binding("web", "dance")
    missing = requests.post(f"{sidecar.url}/bindings/nowhere", json={"operation": "get"})
    assert (missing.status_code, error_code(missing)) == (500, "ERR_INVOKE_OUTPUT_BINDING")


def test_metadata(dapr, sidecar, app):
    """What is loaded, with its capabilities; what is scoped to others is not there; own attributes are kept."""
    dapr.set_metadata("colour", "blue")
    metadata = dapr.get_metadata()
    assert metadata.application_id == sidecar.app_id
    assert {c.name: c.type for c in metadata.registered_components} == {
        "file": "secretstores.local.file",
        "several": "secretstores.local.file",
        "env": "secretstores.local.env",
        "web": "bindings.http",
    }
    assert metadata.extended_metadata["colour"] == "blue"
    over_http = sidecar.metadata()
    assert over_http["runtimeVersion"] == "1.18.3"
    assert (over_http["extended"]["colour"], over_http["appConnectionProperties"]["port"]) == ("blue", app.port)


def test_health(dapr, sidecar):
    """The health paths, and the SDK's wait for the sidecar."""
    dapr.wait(5)
    assert requests.get(f"{sidecar.url}/healthz").status_code == 204
    assert requests.get(f"{sidecar.url}/healthz/outbound").status_code == 204
    assert requests.get(f"{sidecar.url}/healthz", params={"appid": "another"}).status_code == 500


def test_metrics_name_what_was_called(sidecar):
    """The metrics port tells calls under the names that dashboards look for."""
    requests.get(f"{sidecar.url}/secrets/env/OUTRIGGER_TEST_SECRET").raise_for_status()
    text = requests.get(f"http://127.0.0.1:{sidecar.metrics_port}/metrics").text
    for name in ("dapr_http_server_request_count", "dapr_component_secret_count", "dapr_runtime_component_loaded"):
        assert f"{name}{{" in text, name


def test_api_tokens(stage):
    """With a token of its own, the sidecar refuses calls without it; the application is given the other token."""
    app = stage.receiver()
    env = {"DAPR_API_TOKEN": "open sesame", "APP_API_TOKEN": "it is me"}
    sidecar = stage.sidecar("guarded", app_port=app.port, env=env)
    assert requests.get(f"{sidecar.url}/metadata").status_code == 401
    assert requests.get(f"{sidecar.url}/healthz").status_code == 204
    answer = requests.post(f"{sidecar.url}/invoke/{sidecar.app_id}/method/x", headers={"dapr-api-token": "open sesame"})
    assert answer.json()["headers"]["dapr-api-token"] == "it is me"
