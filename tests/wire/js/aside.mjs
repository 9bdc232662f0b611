// Preloaded: what the client sends to fal's hosts goes to the emulator, and nowhere else.
const base = process.env.EMULATOR;
const places = {
  "fal.run": "run",
  "queue.fal.run": "queue",
  "rest.fal.ai": "rest",
  "rest.alpha.fal.ai": "rest",
  "v3.fal.media": "cdn",
};

const aside = (address) => {
  const url = new URL(address, base); // a bare path, as in a browser, is on the page's own server
  const place = places[url.hostname];
  if (!place && url.hostname !== "127.0.0.1") throw new Error(`${url.hostname} is not the emulator`);
  return place ? `${base}/${place}${url.pathname}${url.search}` : url.href;
};

const fetched = globalThis.fetch;
globalThis.fetch = (input, init) =>
  fetched(input instanceof Request ? new Request(aside(input.url), input) : aside(input), init);

globalThis.WebSocket = class extends globalThis.WebSocket {
  constructor(address, protocols) {
    super(aside(address).replace(/^http/, "ws"), protocols);
  }
};
if (process.env.IN_BROWSER) globalThis.window = { document: {} };
