// Shipping: hears of orders, asks for them, and tells that they were shipped. Dapr's SDK for JavaScript.

const { DaprServer, HttpMethod, LogLevel } = require("@dapr/dapr");

const logger = { level: LogLevel.Warn };
const server = new DaprServer({
  serverHost: "127.0.0.1",
  serverPort: process.env.APP_PORT,
  logger,
  clientOptions: { daprHost: "127.0.0.1", daprPort: process.env.DAPR_HTTP_PORT, logger },
});
let parcels = 0;

async function main() {
  await server.pubsub.subscribe("pubsub", "orders.placed", async ({ id }) => {
    const order = await server.client.invoker.invoke("orders", `orders/${id}`, HttpMethod.GET);
    parcels += 1;
    await server.client.pubsub.publish("pubsub", "orders.shipped", { id, parcel: `${order.count} x ${order.item}` });
  });
  await server.invoker.listen("parcels", async () => ({ parcels }), { method: HttpMethod.GET });
  await server.start();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
