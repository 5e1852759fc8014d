// An application of the official JavaScript SDK. Prints a JSON object for each event.
//
//   app.js PORT http|grpc DAPR_PORT

const { CommunicationProtocolEnum, DaprPubSubStatusEnum, DaprServer, HttpMethod, LogLevel } = require("@dapr/dapr");

const [port, protocol, daprPort] = process.argv.slice(2);
const communicationProtocol = protocol === "grpc" ? CommunicationProtocolEnum.GRPC : CommunicationProtocolEnum.HTTP;
const logger = { level: LogLevel.Warn };
const server = new DaprServer({
  serverHost: "127.0.0.1",
  serverPort: port,
  communicationProtocol,
  logger,
  clientOptions: { daprHost: "127.0.0.1", daprPort, communicationProtocol, logger },
});
const tell = (what, fields) => console.log(JSON.stringify({ what, ...fields }));

async function main() {
  await server.invoker.listen("add", async ({ body }) => ({ sum: JSON.parse(body).reduce((a, b) => a + b, 0) }), { method: HttpMethod.POST });
  await server.invoker.listen("hello", async ({ query }) => ({ hello: "you", query }), { method: HttpMethod.GET });

  await server.pubsub.subscribe("pubsub", "orders", async (data) => tell("order", { data }));
  const bulk = async (data) => tell("bulk", { data });
  if (protocol === "grpc") {
    // The SDK's gRPC server has only the alpha form of the call for many messages, which the original does not use any more.
    await server.pubsub.subscribe("pubsub", "bulk", bulk);
  } else {
    await server.pubsub.subscribeBulk("pubsub", "bulk", bulk, { maxMessagesCount: 10, maxAwaitDurationMs: 100 });
  }
  await server.pubsub.subscribeWithOptions("pubsub", "moody", {
    callback: async (data) => {
      tell("moody", { data });
      return data.drop ? DaprPubSubStatusEnum.DROP : DaprPubSubStatusEnum.SUCCESS;
    },
    deadLetterTopic: "dead",
  });
  await server.pubsub.subscribe("pubsub", "dead", async (data) => tell("dead", { data }));

  await server.start();
  tell("started", { protocol });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
