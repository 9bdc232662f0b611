// The same story for both TypeScript clients: look for a model, ask its price, make a picture, look
// at it, take up what was made. Prints one line of JSON. Arguments: v1 or v2, then a URL, or the
// command of a server.
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as StdioV1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as HttpV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from "@modelcontextprotocol/client";
import { StdioClientTransport as StdioV2 } from "@modelcontextprotocol/client/stdio";

const [version, target, ...rest] = process.argv.slice(2);
const byAddress = target.startsWith("http");
const piped = { command: target, args: rest, env: process.env, stderr: "ignore" };
const me = { name: `story-${version}`, version: "1" };

let client, transport;
if (version === "v1") {
  client = new ClientV1(me, { capabilities: {} });
  transport = byAddress ? new HttpV1(new URL(target)) : new StdioV1(piped);
} else {
  client = new ClientV2(me, { capabilities: {}, versionNegotiation: { mode: "auto" } });
  transport = byAddress ? new HttpV2(new URL(target)) : new StdioV2(piped);
}
await client.connect(transport);

async function call(name, args, options) {
  const params = { name, arguments: args };
  const result = version === "v1"
    ? await client.callTool(params, undefined, options)
    : await client.callTool(params, options);
  if (result.isError) throw new Error(`${name}: ${JSON.stringify(result.content)}`);
  return result;
}

const told = [];
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const found = await call("search_models", { query: "a fast cheap picture from text", limit: 3 });
const model = found.structuredContent.models[0].endpoint_id;
const price = await call("estimate_cost", { endpoint_id: model, arguments: { prompt: "a fox" } });
const made = await call(
  "generate",
  { endpoint_id: model, prompt: "a fox" },
  { onprogress: (progress) => told.push(progress.message) },
);
const job = made.structuredContent;
const seen = await call("view_media", { media: job.job_id });
const again = await call("job_status", { job_id: job.job_id });
let refused = "";
try {
  await client.callTool({ name: "no_such_tool", arguments: {} });
} catch (problem) {
  refused = String(problem.message);
}
const guides = (await client.listResources()).resources.map((resource) => resource.uri);
const prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
const guide = await client.readResource({ uri: guides[0] });
await client.close();

console.log(JSON.stringify({
  tools, model, price: price.structuredContent.kind, state: job.state, told: told.length,
  pictures: seen.content.filter((block) => block.type === "image").length,
  same: again.structuredContent.job_id === job.job_id, refused,
  prompts: prompts.length, guide: guide.contents[0].text.length,
}));
