// Microphone sound as 16-bit pieces of a tenth of a second.

class PcmProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Int16Array(Math.round(sampleRate / 10));
    this.filled = 0;
    this.port.onmessage = () => {  // asked for the rest
      this.send();
      this.port.postMessage(null);
    };
  }

  process(inputs) {
    const channel = inputs[0][0];
    if (channel) {
      for (const value of channel) {
        const clipped = Math.max(-1, Math.min(1, value));
        this.piece[this.filled++] = Math.round(clipped * 32767);
        if (this.filled === this.piece.length) this.send();
      }
    }
    return true;
  }

  send() {
    if (!this.filled) return;
    const piece = this.piece.slice(0, this.filled);
    this.port.postMessage(piece, [piece.buffer]);
    this.filled = 0;
  }
}

registerProcessor("pcm", PcmProcessor);
