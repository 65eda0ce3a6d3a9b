// All work on pixels, beside the page, which stays responsive. A classic worker, and not a module: LiteRT.js loads its
// WebAssembly with importScripts, which modules do not have.

/** @type {import("./vision/session.js").Session} */
let session;
/** @type {Promise<unknown>} */
let last = Promise.resolve();

self.addEventListener("message", ({ data }) => {
  last = last.then(() => answer(data)).catch((error) => self.postMessage({ type: "error", message: inWords(error) }));
});

/** @param {any} message */
async function answer(message) {
  if (message.type === "open") {
    const { Session } = await import("./vision/session.js");
    session = await Session.open(message.models, self.location.href, message.options, (loaded, total) =>
      self.postMessage({ type: "progress", loaded, total }),
    );
    self.postMessage({ type: "opened", id: message.id, runs: session.runs });
  } else if (message.type === "reset") session.reset();
  else {
    const result = await session.step(message);
    self.postMessage({ type: "result", id: message.id, ...result });
  }
}

/** @param {unknown} error */
function inWords(error) {
  return error instanceof Error ? error.message : String(error);
}
