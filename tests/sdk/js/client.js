// What an application does with the official JavaScript SDK's client. Prints a JSON object for each step.
//
//   client.js http|grpc DAPR_PORT CALLED_APP_ID MARK

const { CommunicationProtocolEnum, DaprClient, HttpMethod, LogLevel } = require("@dapr/dapr");

const [protocol, daprPort, called, mark] = process.argv.slice(2);
const client = new DaprClient({
  daprHost: "127.0.0.1",
  daprPort,
  communicationProtocol: protocol === "grpc" ? CommunicationProtocolEnum.GRPC : CommunicationProtocolEnum.HTTP,
  logger: { level: LogLevel.Warn },
});
const tell = (what, result) => console.log(JSON.stringify({ what, result }));

/** The outcome of a call that has to fail. */
async function failure(call) {
  try {
    return { result: await call() };
  } catch (error) {
    return { failed: true, message: String(error.message) };
  }
}

async function main() {
  await client.start();
  tell("invoked", await client.invoker.invoke(called, "add", HttpMethod.POST, [1, 2, 3]));
  tell("nobody", await failure(() => client.invoker.invoke("nobody-of-this-name", "add", HttpMethod.POST, [])));

  const { state } = client;
  await state.save("store", [
    { key: `${mark}-1`, value: { n: 1 } },
    { key: `${mark}-2`, value: "two" },
    { key: `${mark}-3`, value: [3] },
  ]);
  tell("got", await state.get("store", `${mark}-1`));
  tell("got many", (await state.getBulk("store", [`${mark}-1`, `${mark}-2`, `${mark}-9`])).map(({ key, data }) => ({ key, data })));
  await state.transaction("store", [
    { operation: "upsert", request: { key: `${mark}-4`, value: "four" } },
    { operation: "delete", request: { key: `${mark}-3` } },
  ]);
  tell("after the transaction", [await state.get("store", `${mark}-3`), await state.get("store", `${mark}-4`)]);
  await state.delete("store", `${mark}-1`);
  tell("deleted", await state.get("store", `${mark}-1`));

  const published = await client.pubsub.publish("pubsub", "orders", { mark });
  tell("published", { failed: Boolean(published.error) });
  const many = await client.pubsub.publishBulk("pubsub", "bulk", [1, 2, 3].map((n) => ({ mark, n })));
  tell("published many", { failed: many.failedMessages.length });
  // The SDK tells of a failure by what it returns over HTTP, and throws over gRPC.
  const nowhere = await failure(() => client.pubsub.publish("nowhere", "orders", { mark }));
  tell("published nowhere", { failed: Boolean(nowhere.failed || nowhere.result.error) });

  tell("secret", await client.secret.get("secrets", "JS_SECRET"));
  tell("called out", await client.binding.send("web", "post", { mark }, { path: "/js" }));
  tell("metadata", { id: (await client.metadata.get()).id });
  tell("healthy", await client.health.isHealthy());
  await client.stop();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
