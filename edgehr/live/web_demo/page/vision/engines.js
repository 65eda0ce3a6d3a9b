// Runs models: `.onnx` by ONNX Runtime Web, `.tflite` by LiteRT.js, on WebAssembly or WebGPU. For the page's worker.

/** @typedef {import("./types.js").Engine} Engine */
/** @typedef {import("./types.js").ModelFile} ModelFile */
/** @typedef {import("./types.js").Tensor} Tensor */

/**
 * @typedef {object} Place  where a model is to run
 * @property {"wasm" | "webgpu"} on
 * @property {number} threads  of WebAssembly
 */

const FOLDER = new URL("../runtime/", import.meta.url).href;
const ROUNDS = 5; // of each, where two places are compared
const ALIKE = 0.02; // largest difference of outputs, of their largest value: half precision is well below

/** @type {Promise<any> | undefined} */
let litert;

/**
 * Open a model.
 * @param {ModelFile} model
 * @param {Uint8Array} bytes
 * @param {Place} place
 * @returns {Promise<Engine>}
 */
export function openEngine(model, bytes, place) {
  return model.runtime === "litert" ? openLiteRt(model, bytes, place) : openOnnx(model, bytes, place);
}

/**
 * Open a model where it runs fastest: on the CPU, or on a GPU that gives the same and takes less time here.
 * @param {ModelFile} model
 * @param {Uint8Array} bytes
 * @param {number} threads
 * @returns {Promise<Engine>}
 */
export async function openFastest(model, bytes, threads) {
  const cpu = await openEngine(model, bytes, { on: "wasm", threads });
  // ONNX Runtime's WebGPU is another 27 MB to download, so that is only done when it is asked for.
  if (model.runtime !== "litert" || !(await hasGpu())) return cpu;
  try {
    const gpu = await openEngine(model, bytes, { on: "webgpu", threads });
    const [slow, quick, loser] = (await isBetter(gpu, cpu, model)) ? [cpu, gpu, cpu] : [gpu, cpu, gpu];
    if (slow !== quick) loser.close();
    return quick;
  } catch (error) {
    console.warn("WebGPU is not used:", error);
    return cpu;
  }
}

/** Tell whether there is a GPU, and not a program that pretends to be one. */
async function hasGpu() {
  const gpu = /** @type {any} */ (navigator).gpu;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

/**
 * @param {Engine} one
 * @param {Engine} other
 * @param {ModelFile} model
 */
async function isBetter(one, other, model) {
  const input = new Float32Array(size(model.input_shape)).map((_, at) => Math.sin(at / 50));
  const times = [];
  const results = [];
  for (const engine of [one, other]) {
    results.push(await engine.run(input)); // the first one prepares
    const spent = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const start = performance.now();
      await engine.run(input);
      spent.push(performance.now() - start);
    }
    times.push(spent.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)]);
  }
  return times[0] < times[1] && areAlike(results[0], results[1]);
}

/**
 * @param {Record<string, Tensor>} one
 * @param {Record<string, Tensor>} other
 */
function areAlike(one, other) {
  return Object.keys(other).every((name) => {
    let [largest, apart] = [0, 0];
    other[name].data.forEach((value, at) => {
      largest = Math.max(largest, Math.abs(value));
      apart = Math.max(apart, Math.abs(value - one[name].data[at]));
    });
    return apart <= ALIKE * largest;
  });
}

/**
 * @param {ModelFile} model
 * @param {Uint8Array} bytes
 * @param {Place} place
 * @returns {Promise<Engine>}
 */
async function openOnnx(model, bytes, { on, threads }) {
  const folder = `${FOLDER}onnxruntime-web/`;
  const [entry, kind] = on === "webgpu" ? ["webgpu", "threaded.asyncify"] : ["wasm", "threaded"];
  const ort = await import(`${folder}ort.${entry}.min.js`);
  const code = `${folder}ort-wasm-simd-${kind}`;
  ort.env.wasm.wasmPaths = { mjs: `${code}.js`, wasm: `${code}.wasm` };
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(bytes, { executionProviders: [on] });
  const [name] = session.inputNames;
  return {
    runs: `ONNX Runtime Web, ${inWords({ on, threads })}`,
    async run(input) {
      const tensor = new ort.Tensor("float32", input, model.input_shape);
      const outputs = await session.run({ [name]: tensor });
      /** @type {Record<string, Tensor>} */
      const found = {};
      for (const output of session.outputNames) {
        found[output] = { data: await outputs[output].getData(true), shape: [...outputs[output].dims] };
      }
      return found;
    },
    close: () => session.release(),
  };
}

/**
 * @param {ModelFile} model
 * @param {Uint8Array} bytes
 * @param {Place} place
 * @returns {Promise<Engine>}
 */
async function openLiteRt(model, bytes, { on, threads }) {
  const library = await import(`${FOLDER}litert/index.js`);
  litert ??= startLiteRt(library, threads);
  const used = await litert;
  const compiled = await library.loadAndCompile(bytes, {
    accelerator: on,
    cpuOptions: { numThreads: used },
    gpuOptions: { precision: "fp32" },
  });
  if (on === "webgpu" && !compiled.isFullyAccelerated) {
    compiled.delete();
    throw new Error("parts of the model do not run on this GPU");
  }
  const [{ name }] = compiled.getInputDetails();
  return {
    runs: `LiteRT.js, ${inWords({ on, threads: used })}`,
    async run(input) {
      const tensor = new library.Tensor(input, model.input_shape);
      const outputs = await compiled.run({ [name]: tensor });
      /** @type {Record<string, Tensor>} */
      const found = {};
      for (const [output, value] of Object.entries(outputs)) {
        found[output] = { data: await value.data(), shape: [...value.type.layout.dimensions] };
        value.delete();
      }
      tensor.delete();
      return found;
    },
    close: () => compiled.delete(),
  };
}

/**
 * Load LiteRT.js, and return on how many threads it computes.
 * @param {any} library
 * @param {number} threads
 * @returns {Promise<number>}
 */
async function startLiteRt(library, threads) {
  const folder = `${FOLDER}litert/wasm/`;
  // In a worker, its code would look for these files beside the worker; and it tells every step as an error.
  Object.assign(self, {
    Module: {
      printErr: console.debug,
      locateFile: (/** @type {string} */ file) => folder + file,
      mainScriptUrlOrBlob: `${folder}litert_wasm_threaded_internal.js`,
    },
  });
  // Its threads need relaxed SIMD, which not every browser has.
  const threaded = threads > 1 && (await library.supportsFeature("relaxedSimd"));
  await library.loadLiteRt(folder, { threads: threaded });
  return threaded ? threads : 1;
}

/** @param {Place} place */
function inWords({ on, threads }) {
  return on === "webgpu" ? "WebGPU" : `WebAssembly, ${threads} thread${threads > 1 ? "s" : ""}`;
}

/** @param {number[]} shape */
function size(shape) {
  return shape.reduce((product, side) => product * side, 1);
}
