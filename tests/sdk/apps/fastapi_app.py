"""An application of FastAPI and Dapr's extension for it. Prints a JSON object for each event.

fastapi_app.py PORT
"""

import json
import sys

import uvicorn
from dapr.clients import DaprClient
from dapr.ext.fastapi import DaprApp
from fastapi import Body, FastAPI, Request, Response

app = FastAPI()
dapr_app = DaprApp(app)


def tell(what, **fields):
    """Prints what happened."""
    print(json.dumps({"what": what, **fields}), flush=True)


@dapr_app.subscribe(pubsub="pubsub", topic="orders", route="/orders-came")
def order(event=Body()):
    """Takes an order."""
    tell("order", data=event["data"], id=event["id"])
    return {"status": "SUCCESS"}


@dapr_app.subscribe(pubsub="pubsub", topic="moody", dead_letter_topic="dead")
def moody(event=Body()):
    """Refuses for good what says so."""
    status = event["data"].get("answer", "SUCCESS")
    tell("moody", data=event["data"], status=status)
    return {"status": status}


@dapr_app.subscribe(pubsub="pubsub", topic="dead")
def dead(event=Body()):
    """Takes dead letters."""
    tell("dead", data=event["data"])


@app.post("/add")
def add(numbers: list[int] = Body()):
    """A method that is invoked."""
    return {"sum": sum(numbers)}


@app.get("/hello/{name}")
def hello(name: str, request: Request, response: Response):
    """A method with a parameter in its path, and headers both ways."""
    response.headers["x-answered-by"] = "fastapi"
    return {"hello": name, "caller": request.headers.get("dapr-caller-app-id"), "query": dict(request.query_params)}


@app.post("/teapot")
def teapot():
    """A method that answers with an unusual status."""
    return Response(json.dumps({"short": "stout"}), 418, {"x-kind": "teapot"}, "application/json")


@app.post("/remember/{key}")
def remember(key: str, value: dict = Body()):
    """Uses the sidecar from within a call: saves, reads back, publishes."""
    with DaprClient() as dapr:
        dapr.save_state("store", key, json.dumps(value))
        dapr.publish_event("pubsub", "orders", json.dumps({"key": key}), data_content_type="application/json")
        return dapr.get_state("store", key).json()


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
