// Does with the released client what people do with it, and prints what came of each as a line of JSON.
import { fal } from "@fal-ai/client";

const base = process.env.EMULATOR;
const hosts = {
  "fal.run": "run",
  "queue.fal.run": "queue",
  "rest.fal.ai": "rest",
  "rest.alpha.fal.ai": "rest",
  "v3.fal.media": "cdn",
  "api.fal.ai": "api",
};
fal.config({
  credentials: "emulator:local",
  suppressLocalCredentialsWarning: true,
  requestMiddleware: async (request) => {
    const url = new URL(request.url);
    const place = hosts[url.hostname];
    return place ? { ...request, url: `${base}/${place}${url.pathname}${url.search}` } : request;
  },
});

const MODEL = "fal-ai/flux/dev";
const input = { prompt: "a red fox", image_size: { width: 64, height: 64 }, seed: 7 };
const bytes = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
const sum = (data) => data.reduce((all, one) => (all * 31 + one) >>> 0, 0);
const failure = async (work) => {
  try {
    await work;
    return null;
  } catch (error) {
    return {
      name: error.name,
      status: error.status,
      body: error.body,
      requestId: error.requestId,
      fields: error.fieldErrors?.map((one) => one.loc),
    };
  }
};

const proofs = {
  async run() {
    const { data, requestId } = await fal.run(MODEL, { input });
    return { requestId, start: Array.from((await bytes(data.images[0].url)).slice(0, 2)) };
  },

  async queue() {
    const first = await fal.queue.submit(MODEL, { input, hint: "lora-7", priority: "low" });
    const requestId = first.request_id;
    const seen = [first.status];
    let status = first;
    while (status.status !== "COMPLETED") {
      status = await fal.queue.status(MODEL, { requestId, logs: true });
      if (seen.at(-1) !== status.status) seen.push(status.status);
    }
    const result = await fal.queue.result(MODEL, { requestId });
    return { requestId, seen, logs: status.logs.length, result };
  },

  async cancel() {
    const { request_id: requestId } = await fal.queue.submit(MODEL, {
      input,
      headers: { "x-emulator-fault": "stuck" },
    });
    await fal.queue.cancel(MODEL, { requestId });
    const status = await fal.queue.status(MODEL, { requestId });
    return {
      status: status.status,
      again: await failure(fal.queue.cancel(MODEL, { requestId })),
      result: await failure(fal.queue.result(MODEL, { requestId })),
    };
  },

  async polling() {
    const updates = [];
    let enqueued;
    const result = await fal.subscribe(MODEL, {
      input,
      logs: true,
      pollInterval: 20,
      onEnqueue: (requestId) => (enqueued = requestId),
      onQueueUpdate: (update) => updates.push(update.status),
    });
    return { enqueued, requestId: result.requestId, last: updates.at(-1), data: result.data };
  },

  async streaming() {
    const updates = [];
    let lines = [];
    const result = await fal.subscribe(MODEL, {
      input,
      logs: true,
      mode: "streaming",
      onQueueUpdate: (update) => {
        updates.push(update.status);
        if (update.logs) lines = update.logs.map((log) => log.message);
      },
    });
    return { updates: [...new Set(updates)], lines, data: result.data };
  },

  async stream() {
    const stream = await fal.stream(MODEL, { input });
    let events = 0;
    for await (const event of stream) events += event ? 1 : 0;
    return { events, last: await stream.done() };
  },

  async realtime() {
    const outputs = [];
    const failures = [];
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no output")), 20_000);
      const connection = fal.realtime.connect(MODEL, {
        connectionKey: "proof",
        throttleInterval: 0,
        onResult: (output) => {
          outputs.push(Object.keys(output).sort());
          if (outputs.length === 2) {
            clearTimeout(timer);
            connection.close();
            resolve();
          } else connection.send({ ...input, seed: 8 });
        },
        onError: (error) => failures.push(String(error)),
      });
      connection.send(input);
    });
    return { outputs, failures };
  },

  async upload() {
    const data = Uint8Array.from({ length: 5000 }, (_, place) => place % 251);
    const url = await fal.storage.upload(new File([data], "été.png", { type: "image/png" }), {
      lifecycle: { expiresIn: "1h" },
    });
    const answer = await fetch(url);
    const back = new Uint8Array(await answer.arrayBuffer());
    return { type: answer.headers.get("content-type"), same: sum(back) === sum(data), url };
  },

  async parts() {
    const data = new Uint8Array(91 * 1024 * 1024);
    for (let place = 0; place < data.length; place += 4096) data[place] = (place / 4096) % 251;
    const url = await fal.storage.upload(new Blob([data], { type: "video/mp4" }));
    const back = await bytes(url);
    return { length: back.length, same: sum(back) === sum(data) };
  },

  async inputs() {
    const blob = new Blob([await bytes((await fal.run(MODEL, { input })).data.images[0].url)], {
      type: "image/jpeg",
    });
    const result = await fal.subscribe("fal-ai/flux/dev/image-to-image", {
      input: { ...input, image_url: blob },
      pollInterval: 20,
    });
    return { images: result.data.images.length };
  },

  async refused() {
    return failure(fal.subscribe(MODEL, { input: { num_images: 99 }, pollInterval: 20 }));
  },

  async unknown() {
    return failure(fal.queue.submit("fal-ai/nothing-of-that-name", { input }));
  },
};

for (const [name, proof] of Object.entries(proofs)) {
  let said;
  try {
    said = { name, value: await proof() };
  } catch (error) {
    said = { name, error: `${error.stack ?? error}`, body: error.body };
  }
  console.log(JSON.stringify(said));
}
process.exit(0);
