// What is seen: the waveform with its words, and the text.

const DOUBTFUL = 0.6;
const WAVE_HEIGHT = 96;
const LABEL_HEIGHT = 30;
const MOST_WIDTH = 16000;
const WANTED_SCALE = 90;  // pixels a second
const LABELLED_SCALE = 45;

const element = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Draw samples and, below, when each word was said. */
export function drawWaveform(sound, words, label) {
  const canvas = element("waveform");
  const seconds = sound ? sound.samples.length / sound.rate : 0;
  canvas.setAttribute("aria-label", label);
  const width = Math.max(element("timeline").clientWidth,
    Math.min(MOST_WIDTH, Math.ceil(seconds * WANTED_SCALE)));
  const ratio = width > MOST_WIDTH / 2 ? 1 : devicePixelRatio;
  canvas.width = width * ratio;
  canvas.height = (WAVE_HEIGHT + LABEL_HEIGHT) * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${WAVE_HEIGHT + LABEL_HEIGHT}px`;
  if (!seconds) return;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const scale = Math.min(WANTED_SCALE, width / seconds);
  drawSamples(context, sound, scale);
  drawWords(context, words, scale);
  canvas.dataset.scale = scale;
}

function drawSamples(context, { samples, rate }, scale) {
  const middle = WAVE_HEIGHT / 2;
  const step = rate / scale;
  let loudest = 0.05;
  for (const value of samples) loudest = Math.max(loudest, Math.abs(value));
  context.fillStyle = colour("--wave");
  for (let x = 0; x * step < samples.length; x++) {
    let low = 0, high = 0;
    const end = Math.min(samples.length, Math.ceil((x + 1) * step));
    for (let i = Math.floor(x * step); i < end; i++) {
      low = Math.min(low, samples[i]);
      high = Math.max(high, samples[i]);
    }
    const top = middle - (high / loudest) * middle;
    context.fillRect(x, top, 1, Math.max(1, ((high - low) / loudest) * middle));
  }
}

function drawWords(context, words, scale) {
  context.font = "13px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const word of words) {
    const x = word.start * scale, width = Math.max(1, (word.end - word.start) * scale - 1);
    context.fillStyle = `rgba(${colour("--doubt")}, ${shade(word.confidence)})`;
    context.fillRect(x, WAVE_HEIGHT + 2, width, LABEL_HEIGHT - 4);
    context.strokeStyle = colour("--line");
    context.strokeRect(x + 0.5, WAVE_HEIGHT + 2.5, width - 1, LABEL_HEIGHT - 5);
    if (scale < LABELLED_SCALE) continue;
    context.save();
    context.beginPath();
    context.rect(x, WAVE_HEIGHT, width, LABEL_HEIGHT);
    context.clip();
    context.fillStyle = colour("--ink");
    context.fillText(word.text, x + 3, WAVE_HEIGHT + LABEL_HEIGHT / 2);
    context.restore();
  }
}

const shade = (confidence) => (confidence == null ? 0 : Math.min(0.5, (1 - confidence) * 0.6));

/** One more segment of the text; its words are buttons that play from there. */
export function addSegment(segment, describe, play) {
  const paragraph = document.createElement("p");
  paragraph.lang = "ko";
  if (!segment.words.length) paragraph.textContent = segment.text;
  for (const word of segment.words) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "word";
    button.textContent = word.text;
    button.title = describe(word);
    button.dataset.start = word.start;
    button.dataset.end = word.end;
    if (word.confidence != null) button.dataset.confidence = word.confidence;
    if (word.confidence != null && word.confidence < DOUBTFUL) button.classList.add("doubtful");
    button.style.backgroundColor = `rgba(${colour("--doubt")}, ${shade(word.confidence)})`;
    button.tabIndex = document.querySelector(".word") || paragraph.firstChild ? -1 : 0;
    button.addEventListener("click", () => play(word.start));
    paragraph.append(button, " ");
  }
  element("transcript").append(paragraph);
}

/** Arrow keys lead from word to word, so that Tab passes over all of them at once. */
export function addArrowKeys() {
  element("transcript").addEventListener("keydown", (event) => {
    const words = [...document.querySelectorAll(".word")];
    const at = words.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: words.length - 1 }[event.key];
    if (at < 0 || to === undefined || !words[to]) return;
    event.preventDefault();
    words[at].tabIndex = -1;
    words[to].tabIndex = 0;
    words[to].focus();
  });
}

/** Mark the word that is being played. */
export function markSpoken(seconds) {
  for (const word of document.querySelectorAll(".word")) {
    const spoken = seconds >= word.dataset.start && seconds < word.dataset.end;
    word.classList.toggle("spoken", spoken);
  }
}
