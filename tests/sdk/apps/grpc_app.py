"""An application of Dapr's gRPC extension. Prints a JSON object for each event.

grpc_app.py PORT
"""

import json
import sys

from cloudevents.sdk.event import v1
from dapr.clients.grpc._response import TopicEventResponse
from dapr.ext.grpc import App, InvokeMethodRequest, InvokeMethodResponse, Rule

app = App()


def tell(what, **fields):
    """Prints what happened."""
    print(json.dumps({"what": what, **fields}), flush=True)


@app.method("add")
def add(request: InvokeMethodRequest):
    """A method with JSON in and out."""
    return json.dumps({"sum": sum(json.loads(request.text()))})


@app.method("echo")
def echo(request: InvokeMethodRequest):
    """A method that answers with what it got, and a header."""
    seen = {key: str(value) for key, value in dict(request.metadata).items()}
    told = {"text": request.text(), "content_type": request.content_type, "metadata": seen}
    answer = InvokeMethodResponse(json.dumps(told), "application/json")
    answer.headers = (("x-answered-by", "grpc"),)
    return answer


@app.subscribe(pubsub_name="pubsub", topic="orders")
def order(event: v1.Event):
    """Takes an order."""
    tell("order", data=json.loads(event.Data()), id=event.EventID(), type=event.EventType(), content_type=event.ContentType())
    return TopicEventResponse("success")


@app.subscribe(pubsub_name="pubsub", topic="animals", rule=Rule('event.type == "cat"', 1))
def cats(event: v1.Event):
    """Takes the events of one type."""
    tell("cat", data=json.loads(event.Data()))


@app.subscribe(pubsub_name="pubsub", topic="animals", rule=Rule('event.data.legs > 4', 2))
def insects(event: v1.Event):
    """Takes what has many legs, of the rest."""
    tell("insect", data=json.loads(event.Data()))


@app.subscribe(pubsub_name="pubsub", topic="moody", dead_letter_topic="dead")
def moody(event: v1.Event):
    """Drops everything."""
    tell("moody", data=json.loads(event.Data()))
    return TopicEventResponse("drop")


@app.subscribe(pubsub_name="pubsub", topic="dead")
def dead(event: v1.Event):
    """Takes dead letters."""
    tell("dead", data=json.loads(event.Data()))


app.register_health_check(lambda: None)

if __name__ == "__main__":
    app.run(int(sys.argv[1]), "127.0.0.1")
