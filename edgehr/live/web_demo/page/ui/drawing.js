// Skeletons over pictures, as edgehr/live/drawing/poses.py draws them.

/** @typedef {import("../vision/types.js").KeypointSet} KeypointSet */
/** @typedef {import("../vision/types.js").Pose} Pose */

const MIN_SCORE = 0.3;
const FACE_PIXELS = 160; // of a face's side for each pixel of a line's width
// Left and right as the person has them; told apart with color-blind eyes too (Okabe and Ito's blue and orange).
/** @type {Record<string, number[]>} */
const COLORS = { left: [86, 180, 233], right: [230, 159, 0], middle: [235, 235, 235] };
const OUTLINE = "rgb(30 30 30)";

/** @param {string} name */
function sideOf(name) {
  const words = name.toLowerCase().split(/[-_ ]/);
  if (words.includes("left") || words.includes("l")) return "left";
  return words.includes("right") || words.includes("r") ? "right" : "middle";
}

/**
 * Fade a color towards gray as the score falls.
 * @param {number[]} color
 * @param {number} score
 */
function faded(color, score) {
  const share = Math.min(Math.max(0.25 + score, 0), 1);
  return `rgb(${color.map((value) => Math.round(share * value + (1 - share) * 110)).join(" ")})`;
}

/** Draws the skeletons of one set of keypoints. */
export class SkeletonBrush {
  /**
   * @param {KeypointSet} keypoints
   * @param {boolean} faces  whether these are landmarks of faces: thin lines, and every point whatever its score
   */
  constructor({ names, skeleton }, faces) {
    this.faces = faces;
    const sides = names.map(sideOf);
    this.colors = sides.map((side) => COLORS[side]);
    this.limbs = skeleton.map(([a, b]) => {
      const known = new Set([sides[a], sides[b]].filter((side) => side !== "middle"));
      return { a, b, color: COLORS[known.size === 1 ? [...known][0] : "middle"] };
    });
  }

  /**
   * @param {CanvasRenderingContext2D} brush
   * @param {Pose[]} poses
   * @param {boolean} mirrored
   */
  draw(brush, poses, mirrored) {
    const { width, height } = brush.canvas;
    /** @type {(x: number) => number} */
    const across = (x) => (mirrored ? width - 1 - x : x);
    brush.lineCap = "round";
    for (const pose of poses) {
      const [x1, y1, x2, y2] = pose.box;
      const person = Math.min(Math.max(x2 - x1, y2 - y1), Math.max(width, height));
      const thick = this.faces
        ? Math.min(Math.max(Math.round(person / FACE_PIXELS), 1), 6)
        : Math.min(Math.max(Math.round(person / 110), 2), 12);
      const shapes = this.shapes(pose, across, thick);
      if (!this.faces) {
        for (const { path } of shapes.lines) stroke(brush, path, OUTLINE, thick + 2);
        for (const { path } of shapes.dots) stroke(brush, path, OUTLINE, 2);
      }
      for (const { path, color } of shapes.lines) stroke(brush, path, color, thick);
      for (const { path, color } of shapes.dots) {
        brush.fillStyle = color;
        brush.fill(path);
      }
      if (pose.id >= 0 && shapes.dots.length) writeId(brush, pose, across, thick);
    }
  }

  /**
   * @param {Pose} pose
   * @param {(x: number) => number} across
   * @param {number} thick
   */
  shapes({ points, scores }, across, thick) {
    const lines = [];
    for (const { a, b, color } of this.limbs) {
      const score = this.faces ? 1 : Math.min(scores[a], scores[b]);
      if (score < MIN_SCORE) continue;
      const path = new Path2D();
      path.moveTo(across(points[2 * a]), points[2 * a + 1]);
      path.lineTo(across(points[2 * b]), points[2 * b + 1]);
      lines.push({ path, color: faded(color, score) });
    }
    const dots = [];
    for (const [number, own] of scores.entries()) {
      const score = this.faces ? 1 : own;
      if (score < MIN_SCORE) continue;
      const path = new Path2D();
      const radius = this.faces ? 1.2 * thick : thick * (0.8 + 0.6 * Math.min(score, 1));
      path.arc(across(points[2 * number]), points[2 * number + 1], radius, 0, 2 * Math.PI);
      dots.push({ path, color: faded(this.colors[number], score) });
    }
    return { lines, dots };
  }
}

/**
 * @param {CanvasRenderingContext2D} brush
 * @param {Path2D} path
 * @param {string} color
 * @param {number} width
 */
function stroke(brush, path, color, width) {
  brush.strokeStyle = color;
  brush.lineWidth = width;
  brush.stroke(path);
}

/**
 * @param {CanvasRenderingContext2D} brush
 * @param {Pose} pose
 * @param {(x: number) => number} across
 * @param {number} thick
 */
function writeId(brush, { id, box }, across, thick) {
  const size = 12 + 2 * thick;
  brush.font = `600 ${size}px system-ui, sans-serif`;
  brush.textAlign = "center";
  const place = /** @type {const} */ ([across((box[0] + box[2]) / 2), Math.max(box[1] - thick, size)]);
  brush.strokeStyle = OUTLINE;
  brush.lineWidth = 3;
  brush.strokeText(String(id), ...place);
  brush.fillStyle = "white";
  brush.fillText(String(id), ...place);
}

/**
 * Copy a frame to the canvas that is seen, as a mirror shows it where that is wanted.
 * @param {CanvasRenderingContext2D} brush
 * @param {HTMLCanvasElement} frame
 * @param {boolean} mirrored
 */
export function drawFrame(brush, frame, mirrored) {
  const { canvas } = brush;
  if (canvas.width !== frame.width || canvas.height !== frame.height) {
    canvas.width = frame.width;
    canvas.height = frame.height;
  }
  brush.setTransform(mirrored ? -1 : 1, 0, 0, 1, mirrored ? canvas.width : 0, 0);
  brush.drawImage(frame, 0, 0);
  brush.setTransform(1, 0, 0, 1, 0, 0);
}
