// Sound: files decoded, the microphone captured, samples written as WAV.

export const RATE = 16000;
const MOST_DECODED_BYTES = 200e6;
const READ_BY_SERVER = /\.(wav|flac|ogg|oga|mp3|aiff?|au|caf)$/i;

/** A context at our rate, or at the browser's own where it cannot join that to a microphone. */
function newContext(sampleRate) {
  try {
    return new AudioContext(sampleRate ? { sampleRate } : {});
  } catch {
    return new AudioContext();
  }
}

/** Mono samples {samples: Float32Array, rate} of a file, or null where it cannot be decoded. */
export async function decode(file) {
  if (file.size > MOST_DECODED_BYTES) return null;
  const context = newContext(RATE);
  try {
    const buffer = await context.decodeAudioData(await file.arrayBuffer());
    const samples = new Float32Array(buffer.length);
    for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
      const data = buffer.getChannelData(channel);
      for (let i = 0; i < data.length; i++) samples[i] += data[i] / buffer.numberOfChannels;
    }
    return { samples, rate: buffer.sampleRate };
  } catch {
    return null;
  } finally {
    context.close();
  }
}

/** What to send of a file: itself where the server can read it, else as WAV. */
export function upload(file, sound) {
  if (!sound || READ_BY_SERVER.test(file.name)) return file;
  return new File([wav(sound)], `${file.name}.wav`, { type: "audio/wav" });
}

/** Samples as a 16-bit WAV file. */
export function wav({ samples, rate }) {
  const view = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const text = (at, letters) => [...letters].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + samples.length * 2, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, samples.length * 2, true);
  for (let i = 0; i < samples.length; i++) {
    view.setInt16(44 + i * 2, Math.max(-1, Math.min(1, samples[i])) * 32767, true);
  }
  return new Blob([view], { type: "audio/wav" });
}

/** The microphone: `take(Int16Array)` is called for each tenth of a second until `stop()`. */
export class Microphone {
  static async open(take) {
    const media = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false,
        autoGainControl: false },  // all three change the sound that models were trained on
    });
    let context = newContext(RATE);
    let source;
    try {
      source = context.createMediaStreamSource(media);
    } catch {  // Firefox joins no microphone to a context of another rate
      context.close();
      context = newContext(0);
      source = context.createMediaStreamSource(media);
    }
    await context.audioWorklet.addModule("/page/worklet.js");
    const node = new AudioWorkletNode(context, "pcm", { numberOfOutputs: 0 });
    const microphone = new Microphone(media, context, node);
    node.port.onmessage = ({ data }) => (data ? take(data) : microphone.flushed());
    microphone.begin = () => source.connect(node);
    return microphone;
  }

  constructor(media, context, node) {
    Object.assign(this, { media, context, node, flushed: () => {} });
  }

  get rate() {
    return this.context.sampleRate;
  }

  async stop() {
    const flushed = new Promise((resolve) => { this.flushed = resolve; });
    this.node.port.postMessage("flush");
    await Promise.race([flushed, new Promise((resolve) => setTimeout(resolve, 500))]);
    this.media.getTracks().forEach((track) => track.stop());
    await this.context.close();
  }
}

/** Pieces of 16-bit sound as one {samples, rate}. */
export function joined(pieces, rate) {
  const samples = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    for (const value of piece) samples[at++] = value / 32768;
  }
  return { samples, rate };
}
