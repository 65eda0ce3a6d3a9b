// The page's end of the worker: opens the models there, and asks about one frame at a time.

/** @typedef {import("../vision/session.js").Result} Result */
/** @typedef {import("../vision/types.js").ModelFile} ModelFile */

const MAX_THREADS = 4; // more make a phone's slow cores wait for each other
// A module of one function that uses a SIMD instruction, to ask the browser whether it knows such.
const SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
];

/**
 * @typedef {object} Link
 * @property {Record<string, string>} runs  what runs each model, in words
 * @property {(frame: {image: ImageData, time: number, independent: boolean}) => Promise<Result>} look
 * @property {() => void} reset
 */

/**
 * Start the worker and open the models; throws an Error that says what this browser lacks.
 * @param {Record<string, ModelFile>} models
 * @param {URLSearchParams} options  of the page: `run` (wasm, webgpu) and `threads`
 * @param {(loaded: number, total: number) => void} tell
 * @returns {Promise<Link>}
 */
export function startWorker(models, options, tell) {
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(new Uint8Array(SIMD))) {
    throw new Error("This browser has no WebAssembly with SIMD: use one from 2023 or later, and no lockdown mode.");
  }
  const worker = new Worker("worker.js");
  // By number: another source may come while the worker is still at a frame of the last one.
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  const waiting = new Map();
  let last = 0;
  /** @type {(message: object, transfer?: Transferable[]) => Promise<any>} */
  const ask = (message, transfer = []) => {
    last += 1;
    worker.postMessage({ ...message, id: last }, transfer);
    return new Promise((resolve, reject) => waiting.set(last, { resolve, reject }));
  };
  /** @param {string} message */
  const fail = (message) => waiting.forEach(({ reject }) => reject(new Error(message)));
  worker.addEventListener("message", ({ data }) => {
    if (data.type === "progress") tell(data.loaded, data.total);
    else if (data.type === "error") fail(data.message);
    else {
      waiting.get(data.id)?.resolve(data);
      waiting.delete(data.id);
    }
  });
  worker.addEventListener("error", ({ message }) => {
    fail(`The page's worker has failed (${message || "worker.js cannot be loaded"}).`);
  });
  const opened = ask({ type: "open", models, options: { run: placeOf(options), threads: threadsOf(options) } });
  return opened.then(({ runs }) => ({
    runs,
    look(frame) {
      const { data, width, height } = frame.image;
      return ask({ type: "frame", ...frame, image: { data, width, height } }, [data.buffer]);
    },
    reset: () => worker.postMessage({ type: "reset" }),
  }));
}

/** @param {URLSearchParams} options */
function placeOf(options) {
  const run = options.get("run") ?? "";
  return ["wasm", "webgpu"].includes(run) ? run : "auto";
}

/** @param {URLSearchParams} options */
function threadsOf(options) {
  if (!window.crossOriginIsolated) return 1;
  const wanted = Number(options.get("threads"));
  return wanted >= 1 ? Math.min(Math.floor(wanted), 16) : Math.min(navigator.hardwareConcurrency || 1, MAX_THREADS);
}
