// Preloaded: the client opens its WebSockets at a built-in host, which here is the emulator's.
const base = process.env.EMULATOR.replace(/^http/, "ws");

globalThis.WebSocket = class extends globalThis.WebSocket {
  constructor(address, protocols) {
    const url = new URL(address);
    super(url.hostname === "fal.run" ? `${base}/run${url.pathname}${url.search}` : address, protocols);
  }
};
