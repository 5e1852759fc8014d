"""Orders: takes them, keeps them, and tells of them. FastAPI, with Dapr's SDK and its extension."""

import json
import os
import uuid

import grpc
import uvicorn
from dapr.clients import DaprClient
from dapr.clients.grpc._state import Concurrency, StateOptions
from dapr.ext.fastapi import DaprApp
from fastapi import Body, FastAPI, HTTPException
from google.protobuf.wrappers_pb2 import DoubleValue, StringValue

app = FastAPI()
dapr_app = DaprApp(app)
dapr = DaprClient()  # the sidecar's ports are in the environment

# The service in Go is called through our sidecar, which finds it by the id of its application.
channel = grpc.insecure_channel(f"127.0.0.1:{os.environ['DAPR_GRPC_PORT']}")
price_of = channel.unary_unary("/shop.Prices/Get", StringValue.SerializeToString, DoubleValue.FromString)


def price(item):
    """Asks for the price of one piece."""
    try:
        return price_of(StringValue(value=item), metadata=[("dapr-app-id", "prices")], timeout=10).value
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.NOT_FOUND:
            raise HTTPException(404, error.details()) from None
        raise


def key_of(order_id):
    """Under which key an order is kept."""
    return f"order-{order_id}"


@app.post("/orders")
def place(item: str = Body(), count: int = Body(), coupon: str = Body("")):
    """Takes an order: asks for its price, saves it, publishes it."""
    amount = price(item) * count
    if coupon and coupon == dapr.get_secret("secrets", "coupon").secret["coupon"]:
        amount *= 0.9
    order = {"id": uuid.uuid4().hex[:8], "item": item, "count": count, "amount": round(amount, 2), "status": "placed"}
    save(order)
    publish("orders.placed", {"id": order["id"]})
    return order


@app.get("/orders/{order_id}")
def read(order_id: str):
    """Reads an order."""
    return load(order_id)[0]


@dapr_app.subscribe(pubsub="pubsub", topic="orders.shipped", route="/on/shipped")
def shipped(event=Body()):
    """Notes that an order was shipped. If somebody else has changed it since it was read, the event comes again."""
    order, etag = load(event["data"]["id"])
    order.update(status="shipped", parcel=event["data"]["parcel"])
    save(order, etag)
    return {"status": "SUCCESS"}


def load(order_id):
    """An order and its version."""
    found = dapr.get_state("store", key_of(order_id))
    if not found.data:
        raise HTTPException(404, f"there is no order {order_id}")
    return found.json(), found.etag


def save(order, etag=None):
    """Saves an order, if its version is still that one."""
    options = StateOptions(concurrency=Concurrency.first_write)
    dapr.save_state("store", key_of(order["id"]), json.dumps(order), etag=etag, options=options)


def publish(topic, data):
    """Tells whom it concerns."""
    dapr.publish_event("pubsub", topic, json.dumps(data), data_content_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["APP_PORT"]), log_level="warning")
