// The shapes of data that the modules share, for the type checker; nothing of it exists at run time.

/**
 * @typedef {[number, number, number, number]} Box  x1, y1, x2, y2 in pixels
 *
 * @typedef {object} Image
 * @property {Uint8ClampedArray} data  red, green, blue and alpha of each pixel, row by row
 * @property {number} width
 * @property {number} height
 *
 * @typedef {object} Pose
 * @property {Box} box  where the network looked; in a sequence, around the keypoints
 * @property {Float32Array} points  x and y of each keypoint in turn, image pixels
 * @property {Float32Array} scores  of each keypoint, about 0 to 1
 * @property {number} id  of the person, -1 where nobody is followed
 *
 * @typedef {object} Detections
 * @property {Box[]} boxes  the surest first
 * @property {number[]} scores
 *
 * @typedef {object} Tensor
 * @property {Float32Array} data
 * @property {number[]} shape
 *
 * @typedef {object} Engine
 * @property {string} runs  what runs it, in words
 * @property {(input: Float32Array) => Promise<Record<string, Tensor>>} run
 * @property {() => void} close
 *
 * @typedef {object} InputSpec
 * @property {number} height
 * @property {number} width
 * @property {"rgb" | "bgr"} color
 * @property {number[]} mean
 * @property {number[]} std
 * @property {string} name
 *
 * @typedef {object} Decoding
 * @property {string} method
 * @property {number} blur_kernel
 * @property {string} warp
 *
 * @typedef {object} KeypointSet
 * @property {string[]} names
 * @property {[number, number][]} skeleton
 * @property {number[]} sigmas
 *
 * @typedef {object} Card  a model card, as edgehr writes it
 * @property {string} name
 * @property {string} task
 * @property {string} architecture
 * @property {"nchw" | "nhwc"} layout
 * @property {InputSpec} input
 * @property {{name: string}[]} outputs
 * @property {any} spec  the part of the card that belongs to its task
 * @property {{origin: string}} weights
 *
 * @typedef {object} ModelFile
 * @property {string} file
 * @property {number} bytes
 * @property {string} precision
 * @property {"onnxruntime-web" | "litert"} runtime
 * @property {number[]} input_shape
 * @property {Card} card
 *
 * @typedef {<T>(name: string, work: () => T | Promise<T>) => Promise<T>} Measure  notes how long a stage took
 */

export {};
