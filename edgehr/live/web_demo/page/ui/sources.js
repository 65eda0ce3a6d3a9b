// Where frames come from: a camera, a video file, a picture.

const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
const MAX_SIDE = 1280; // pixels; what is larger is reduced, as a phone's photographs are

/** @typedef {"user" | "environment"} Facing */

/**
 * @typedef {object} Source
 * @property {string} name
 * @property {boolean} mirrored  whether it is to be shown as a mirror shows it
 * @property {boolean} still  whether it is a single picture
 * @property {() => Promise<void>} next  waits for the next frame
 * @property {(canvas: HTMLCanvasElement) => number} draw  draws it, and returns its time in seconds
 * @property {() => void} close
 */

/** What goes wrong, in words for whoever holds the phone. @type {Record<string, string>} */
const REFUSALS = {
  NotAllowedError:
    "The camera was refused. Allow it for this page in the browser's settings, and press Start camera again. " +
    "A picture or a video works without it.",
  NotFoundError: "This device has no camera that the browser knows: choose a picture or a video.",
  NotReadableError: "The camera does not answer, or another program has it: close that, and press Start camera again.",
};

/**
 * Open a camera; throws an Error that says what to do.
 * @param {Facing} facing
 * @param {() => void} onGone  called where it goes away
 * @returns {Promise<Source>}
 */
export async function openCamera(facing, onGone) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error(
      "Browsers give a camera to secure pages only: open this page by https://, or on this device as localhost. " +
        "A picture or a video works here too.",
    );
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { ...CAMERA, facingMode: { ideal: facing } } });
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    const words = REFUSALS[name] ?? `The camera cannot be opened (${error}): choose a picture or a video.`;
    throw new Error(words, { cause: error });
  }
  const [track] = stream.getVideoTracks();
  track.addEventListener("ended", onGone);
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  await video.play();
  const settings = track.getSettings();
  return {
    ...framesOf(video),
    name: track.label || "camera",
    mirrored: (settings.facingMode ?? facing) === "user",
    close() {
      track.removeEventListener("ended", onGone);
      track.stop();
      video.srcObject = null;
    },
  };
}

/** Count the cameras; browsers tell the number once one was allowed. */
export async function countCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind }) => kind === "videoinput").length;
}

/**
 * Open a picture or a video file; throws an Error that says what is wrong with it.
 * @param {File} file
 * @returns {Promise<Source>}
 */
export async function openFile(file) {
  const isVideo = file.type.startsWith("video/");
  try {
    return isVideo ? await openVideo(file) : await openPicture(file);
  } catch {
    throw new Error(`This browser cannot read ${file.name}: is it a ${isVideo ? "video" : "picture"}?`);
  }
}

/**
 * @param {File} file
 * @returns {Promise<Source>}
 */
async function openPicture(file) {
  const picture = await createImageBitmap(file);
  return {
    name: file.name,
    mirrored: false,
    still: true,
    next: () => Promise.resolve(),
    draw: (canvas) => drawReduced(canvas, picture, picture.width, picture.height),
    close: () => picture.close(),
  };
}

/**
 * @param {File} file
 * @returns {Promise<Source>}
 */
async function openVideo(file) {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.loop = true;
  video.src = URL.createObjectURL(file);
  try {
    await video.play();
  } catch (error) {
    URL.revokeObjectURL(video.src);
    throw error;
  }
  return {
    ...framesOf(video),
    name: file.name,
    mirrored: false,
    close() {
      video.pause();
      URL.revokeObjectURL(video.src);
      video.removeAttribute("src");
    },
  };
}

/** @param {HTMLVideoElement} video */
function framesOf(video) {
  const started = performance.now();
  return {
    still: false,
    next: () =>
      /** @type {Promise<void>} */ (
        new Promise((resolve) => {
          // Called with the next new frame, and like animations not while the tab is hidden.
          if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(() => resolve());
          else requestAnimationFrame(() => resolve());
        })
      ),
    draw(/** @type {HTMLCanvasElement} */ canvas) {
      drawReduced(canvas, video, video.videoWidth, video.videoHeight);
      return (performance.now() - started) / 1000;
    },
  };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasImageSource} picture
 * @param {number} width
 * @param {number} height
 */
function drawReduced(canvas, picture, width, height) {
  const share = Math.min(1, MAX_SIDE / Math.max(width, height));
  const size = [width, height].map((side) => Math.max(Math.round(side * share), 1));
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const brush = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  brush?.drawImage(picture, 0, 0, size[0], size[1]);
  return 0;
}
