// The live connection: asks for pictures, notices when it is lost, and comes back by itself.

const MOST_ASKED = 2; // pictures on the way, as the server allows
const PING_MS = 2000;
const SILENCE_MS = 6000; // without an answer for this long, the board or the network is gone
const RETRY_MS = [500, 1000, 2000, 3000, 5000];
const RETRY_ENDED_MS = 15000; // after the stream has ended, in case it is started again

export class Connection {
  // onPacket(status, jpeg: Blob) may return a promise: the next picture is asked for when it is done.
  // onLost(retryInMs, reason), onEnded() and onOpen() tell of the connection itself.
  constructor({ onPacket, onOpen, onLost, onEnded }) {
    Object.assign(this, { onPacket, onOpen, onLost, onEnded });
    this.flowing = true;
    this.tries = 0;
    this.ended = false;
    this.open();
    setInterval(() => this.ping(), PING_MS);
  }

  open() {
    const url = new URL("live", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = "";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.asked = 0;
    this.unanswered = performance.now(); // when the oldest unanswered ping, or the attempt itself, began
    let work = Promise.resolve();
    socket.onopen = () => {
      this.tries = 0;
      this.ended = false;
      this.unanswered = null;
      this.onOpen();
      this.ask();
    };
    socket.onmessage = ({ data }) => {
      this.unanswered = null;
      if (data === "ended") this.end(socket);
      else if (typeof data !== "string") work = work.then(() => this.take(socket, data)); // in order, one after the other
    };
    socket.onclose = () => this.lose(socket);
  }

  async take(socket, data) {
    const length = new DataView(data).getUint32(0);
    const status = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    try {
      await this.onPacket(status, new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
    } finally {
      if (socket === this.socket) {
        this.asked -= 1;
        this.ask();
      }
    }
  }

  ask() {
    while (this.flowing && this.asked < MOST_ASKED && this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send("next");
      this.asked += 1;
    }
  }

  // While nothing flows, the board does not even encode pictures for this page.
  setFlowing(flowing) {
    this.flowing = flowing;
    this.ask();
  }

  ping() {
    const silent = this.unanswered !== null && performance.now() - this.unanswered > SILENCE_MS;
    if (silent) this.lose(this.socket);
    else if (this.socket?.readyState === WebSocket.OPEN) {
      this.unanswered ??= performance.now();
      this.socket.send("ping");
    }
  }

  // The server said that no more will come.
  end(socket) {
    if (socket !== this.socket) return;
    this.drop();
    this.ended = true;
    this.onEnded();
    setTimeout(() => this.open(), RETRY_ENDED_MS);
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    this.unanswered = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  lose(socket) {
    if (socket !== this.socket) return; // an earlier one
    this.drop();
    const wait = this.ended ? RETRY_ENDED_MS : RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)];
    this.tries += 1;
    this.onLost(wait, null);
    setTimeout(() => this.open(), wait);
    refusal().then((reason) => reason && this.socket?.readyState !== WebSocket.OPEN && this.onLost(null, reason));
  }
}

// A WebSocket that is refused does not tell why; the same address without one does.
async function refusal() {
  try {
    const answer = await fetch("live", { cache: "no-store", signal: AbortSignal.timeout(2000) });
    return [401, 403, 503].includes(answer.status) ? (await answer.text()).trim() : null;
  } catch {
    return null; // the board does not answer at all
  }
}
