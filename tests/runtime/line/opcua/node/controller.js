// Controllers by node-opcua-client: node controller.js FOLDER. Each line of stdin, [URL, ACTION, ARGUMENTS...] in JSON,
// is a client of its own, one after the other: loading the library takes seconds. Prints one line of JSON for each.
"use strict";
const { createInterface } = require("node:readline");
const {
  AttributeIds, ClientMonitoredItem, DataType, MessageSecurityMode, OPCUAClient,
  SecurityPolicy, TimestampsToReturn, UserTokenType, constructEventFilter,
} = require("node-opcua-client");

const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const [folder] = process.argv.slice(2);
const LINE = "ns=2;s=Line";
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function connect(url, action, options) {
  const clientCertificateManager = new OPCUACertificateManager({
    rootFolder: folder, automaticallyAcceptUnknownCertificate: true,
  });
  await clientCertificateManager.initialize();
  const client = OPCUAClient.create({
    applicationName: "peer", endpointMustExist: false, clientCertificateManager, keepSessionAlive: true,
    connectionStrategy: { initialDelay: 100, maxDelay: 500, maxRetry: action === "watch" ? 200 : 0 }, ...options,
  });
  await client.connect(url);
  return client;
}

const METHODS = {
  Trigger: [DataType.UInt32, DataType.String, DataType.String, DataType.UInt16],
  NextResult: [DataType.UInt32],
  Acknowledge: [DataType.UInt32],
  SwitchRecipe: [DataType.String],
};

async function call(session, name, ...values) {
  const inputArguments = METHODS[name].map((dataType, at) => ({ dataType, value: values[at] }));
  const done = await session.call({ objectId: LINE, methodId: `${LINE}.${name}`, inputArguments });
  return { status: done.statusCode.name, gives: (done.outputArguments || []).map((each) => each.value) };
}

async function read(session, name) {
  const found = await session.read({ nodeId: `ns=2;s=FromRuntime.${name}`, attributeId: AttributeIds.Value });
  return found.value.value;
}

async function table(session) {
  const found = [];
  for (const name of ["ToRuntime", "FromRuntime"]) {
    const { references } = await session.browse({ nodeId: `ns=2;s=${name}`, referenceTypeId: "HasComponent" });
    for (const { nodeId, browseName } of references) {
      const [type, access, text] = await session.read(
        [AttributeIds.DataType, AttributeIds.AccessLevel, AttributeIds.Description].map((attributeId) => ({
          nodeId, attributeId,
        })));
      found.push([nodeId.value, browseName.name, DataType[type.value.value.value], Boolean(access.value.value & 2),
        text.value.value.text]);
    }
  }
  return found;
}

async function parts(session, count) {
  const events = [], changes = [], found = [];
  const subscription = await session.createSubscription2({
    requestedPublishingInterval: 50, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 20,
    maxNotificationsPerPublish: 100, publishingEnabled: true, priority: 1,
  });
  const fields = ["Severity", "Message", ...["part_id", "code", "cause", "reason", "refused"].map((each) => `2:${each}`)];
  const told = ClientMonitoredItem.create(
    subscription, { nodeId: "i=2253", attributeId: AttributeIds.EventNotifier },
    { samplingInterval: 0, discardOldest: true, queueSize: 100, filter: constructEventFilter(fields) },
    TimestampsToReturn.Both);
  told.on("changed", (values) => events.push(values.map(({ value }) => (value && value.text) || value)));
  const valid = ClientMonitoredItem.create(
    subscription, { nodeId: "ns=2;s=FromRuntime.result_part_id", attributeId: AttributeIds.Value },
    { samplingInterval: 50, discardOldest: true, queueSize: 10 }, TimestampsToReturn.Both);
  valid.on("changed", ({ value }) => changes.push(value.value));
  await Promise.all([told, valid].map((each) => new Promise((resolve) => each.once("initialized", resolve))));
  for (let partId = 1; partId <= count; partId++) {
    while (!(await read(session, "trigger_ready"))) await pause(20);
    const answer = await call(session, "Trigger", partId, `S${partId}`, "batch", 0);
    const result = await call(session, "NextResult", 20000);
    while (changes[changes.length - 1] !== partId) await pause(20);
    const taken = await call(session, "Acknowledge", result.gives[2]);
    found.push({ answer: answer.gives, result: result.gives, taken: taken.gives });
  }
  const offline = { nodeId: "ns=2;s=ToRuntime.set_offline", attributeId: AttributeIds.Value };
  const value = (is) => ({ value: { value: { dataType: DataType.Boolean, value: is } } });
  const written = await session.write({ ...offline, ...value(true) });
  const refused = await call(session, "Trigger", 99, "", "", 0);
  await session.write({ ...offline, ...value(false) });
  while (!events.some(([, , partId]) => partId === 99)) await pause(20);
  return { parts: found, events, changes, written: written.name, refused: refused.gives };
}

async function levels(session, count) {
  const write = async (values) => {
    const types = { part_id: DataType.UInt32, serial: DataType.String };
    const nodes = Object.entries(values).map(([name, value]) => ({
      nodeId: `ns=2;s=ToRuntime.${name}`, attributeId: AttributeIds.Value,
      value: { value: { dataType: types[name] || DataType.Boolean, value } },
    }));
    return (await session.write(nodes)).every((each) => each.name === "Good");
  };
  const until = async (name, is) => { while ((await read(session, name)) !== is) await pause(5); };
  const found = [];
  for (let partId = 1; partId <= count; partId++) {
    await until("trigger_ready", true);
    if (!(await write({ part_id: partId, serial: `S${partId}`, trigger: true }))) throw new Error("not written");
    await until("trigger_acknowledge", true);
    await write({ trigger: false });
    await until("results_valid", true);
    found.push([await read(session, "result_part_id"), await read(session, "result_code"),
      await read(session, "job_pass"), await read(session, "result_serial")]);
    await write({ results_acknowledge: true });
    await until("results_valid", false);
    await write({ results_acknowledge: false });
  }
  return found;
}

async function watch(session) {
  const found = new Set();
  while (found.size < 2) {
    try {
      const before = found.size;
      found.add(await read(session, "session_id"));
      if (before < 1) console.log("watching");
    } catch (error) { /* it is away */ }
    await pause(100);
  }
  return [...found];
}

async function act(url, action, given) {
  const [user, password, securityMode] = action === "login" ? given : [];
  const secure = securityMode
    ? { securityMode: MessageSecurityMode[securityMode], securityPolicy: SecurityPolicy.Basic256Sha256 } : {};
  let client;
  try {
    client = await connect(url, action, secure);
    const identity = user ? { type: UserTokenType.UserName, userName: user, password } : undefined;
    const session = await client.createSession(identity);
    const actions = {
      table: () => table(session),
      parts: () => parts(session, Number(given[0])),
      levels: () => levels(session, Number(given[0])),
      recipe: () => call(session, "SwitchRecipe", given[0]),
      watch: () => watch(session),
      login: () => read(session, "map_version"),
    };
    const found = await actions[action]();
    await session.close();
    return { found };
  } catch (error) {
    return { error: error.message };
  } finally {
    if (client) await client.disconnect();
  }
}

async function main() {
  for await (const line of createInterface({ input: process.stdin })) {
    const [url, action, ...given] = JSON.parse(line);
    console.log(JSON.stringify(await act(url, action, given)));
  }
  process.exit(0);
}

main();
