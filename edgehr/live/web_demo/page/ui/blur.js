// The background out of focus.

/** @typedef {import("../vision/segmentation.js").Mask} Mask */

const SMALLEST = 28; // pixels of the shorter side of what the blur is made of

/** Draws frames with people alone in focus. */
export class BackgroundBlur {
  constructor() {
    this.people = document.createElement("canvas");
    this.mask = document.createElement("canvas");
    /** Each half as large as the one before. @type {HTMLCanvasElement[]} */
    this.halves = [];
  }

  /**
   * Put what a mask leaves out of a frame out of focus, in place.
   * @param {HTMLCanvasElement} frame
   * @param {Mask} mask
   */
  apply(frame, mask) {
    const { width, height } = frame;
    const cut = sized(this.people, width, height);
    const stencil = sized(this.mask, mask.width, mask.height);
    stencil.putImageData(new ImageData(new Uint8ClampedArray(mask.data), mask.width, mask.height), 0, 0);
    cut.globalCompositeOperation = "copy";
    cut.drawImage(this.mask, 0, 0, width, height);
    cut.globalCompositeOperation = "source-in";
    cut.drawImage(frame, 0, 0);
    const brush = sized(frame, width, height);
    brush.drawImage(this.blurred(frame), 0, 0, width, height);
    brush.drawImage(this.people, 0, 0);
  }

  /**
   * Shrink and enlarge a frame in steps of two, which blurs it, and which every browser can.
   * @param {HTMLCanvasElement} frame
   */
  blurred(frame) {
    const steps = Math.max(Math.floor(Math.log2(Math.min(frame.width, frame.height) / SMALLEST)), 1);
    let from = frame;
    for (let step = 0; step < steps; step += 1) {
      this.halves[step] ??= document.createElement("canvas");
      const [width, height] = [from.width, from.height].map((side) => Math.max(Math.round(side / 2), 1));
      sized(this.halves[step], width, height).drawImage(from, 0, 0, width, height);
      from = this.halves[step];
    }
    for (let step = steps - 2; step >= 0; step -= 1) {
      const to = this.halves[step];
      sized(to, to.width, to.height).drawImage(from, 0, 0, to.width, to.height);
      from = to;
    }
    return from;
  }
}

/**
 * Give a canvas a size, and return its brush.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
function sized(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}
