// The page: a microphone or a file, what is heard of it, and files to take away.

import { Microphone, decode, joined, upload, wav } from "/page/sound.js";
import { setUpSearch } from "/page/search.js";
import { TEXTS } from "/page/texts.js";
import { addArrowKeys, addSegment, drawWaveform, markSpoken } from "/page/view.js";

const element = (id) => document.getElementById(id);
const SLOW_BYTES = 1 << 20;
const state = { language: "ko", model: "", source: "", segments: [], sound: null, stop: null,
  busy: false, status: ["ready", "", false] };

const texts = () => TEXTS[state.language];
const words = () => state.segments.flatMap((segment) => segment.words);

function say(name, more = "", error = false) {
  state.status = [name, more, error];
  element("status").textContent = texts()[name] + (more ? `: ${more}` : "");
  element("status").classList.toggle("error", error);
}

function speak(language) {
  state.language = language;
  document.documentElement.lang = language;
  for (const one of document.querySelectorAll("[data-text]")) {
    one.textContent = texts()[one.dataset.text];
  }
  for (const one of document.querySelectorAll("[data-label]")) {
    one.setAttribute("aria-label", texts()[one.dataset.label]);
  }
  element("microphone").textContent = state.stop ? texts().stop : texts().start;
  element("language").textContent = texts().other;
  element("language").lang = texts().otherLang;
  say(...state.status);
  draw();
}

function draw() {
  const seconds = state.sound ? state.sound.samples.length / state.sound.rate : 0;
  drawWaveform(state.sound, words(), texts().wave(seconds.toFixed(1), words().length));
}

function begin(source) {
  Object.assign(state, { source, segments: [], sound: null });
  element("transcript").replaceChildren();
  element("partial").textContent = "";
  element("player").hidden = true;
  for (const button of document.querySelectorAll(".download")) button.disabled = true;
  draw();
}

function add(segment) {
  state.segments.push(segment);
  catalogue.heard(segment.text);
  addSegment(segment, texts().word, play);
}

function end() {
  element("partial").textContent = "";
  if (state.sound) {
    URL.revokeObjectURL(element("player").src);
    element("player").src = URL.createObjectURL(wav(state.sound));
    element("player").hidden = false;
  }
  for (const button of document.querySelectorAll(".download")) {
    button.disabled = !state.segments.length;
  }
  draw();
}

function play(seconds) {
  const player = element("player");
  if (player.hidden) return;
  player.currentTime = seconds;
  player.play();
}

// --- a file

const headers = () => (element("key").value ? { Authorization: `Bearer ${element("key").value}` } : {});

const catalogue = setUpSearch(headers, texts);

async function post(path, body) {
  const response = await fetch(path, { method: "POST", body, headers: headers() });
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Error(answer.error?.message ?? `${response.status}`);
}

async function recogniseFile(file) {
  if (state.busy || state.stop) return;
  state.busy = true;
  begin(file.name);
  try {
    say("reading");
    state.sound = await decode(file);
    draw();
    say("recognising");
    const form = new FormData();
    form.append("file", upload(file, state.sound));
    form.append("model", state.model);
    form.append("response_format", "verbose_json");
    form.append("timestamp_granularities[]", "segment");
    form.append("timestamp_granularities[]", "word");
    const answer = await (await post("/v1/audio/transcriptions", form)).json();
    segmentsOf(answer).forEach(add);
    say(state.segments.length ? "done" : "nothing");
  } catch (error) {
    say("failed", error.message, true);
  } finally {
    state.busy = false;
    end();
  }
}

/** Segments with their own words, of an answer that lists both apart. */
function segmentsOf(answer) {
  const rest = answer.words.map(({ word, ...times }) => ({ text: word, ...times }));
  return answer.segments.map(({ text, start, end: until, confidence }) => {
    const count = rest.findIndex((word) => word.start >= until);
    return { text, start, end: until, confidence,
      words: rest.splice(0, count < 0 ? rest.length : count) };
  });
}

// --- the microphone

/** The WebSocket's subprotocols, which carry the key: browsers let no page set its header. */
function protocols() {
  const key = element("key").value;
  const coded = btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return key ? ["malsori", `malsori-key.${coded}`] : ["malsori"];
}

function connect() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/`, protocols());
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new Error("refused"));
  });
}

async function listen() {
  if (state.busy) return;
  state.busy = true;
  begin("microphone");
  const pieces = [];
  let socket = null, microphone = null;
  try {
    microphone = await Microphone.open((piece) => {
      pieces.push(piece);
      if (socket.readyState === WebSocket.OPEN) socket.send(piece);
      if (socket.bufferedAmount > SLOW_BYTES) say("slow");
      if (pieces.length % 5 === 0) {
        state.sound = joined(pieces.slice(-100), microphone.rate);  // the last ten seconds
        drawWaveform(state.sound, [], "");
      }
    });
  } catch (error) {
    state.busy = false;
    say("noMicrophone", "", true);
    return;
  }
  try {
    socket = await connect();
  } catch {
    await microphone.stop();
    state.busy = false;
    say("refused", "", true);
    return;
  }
  socket.send(JSON.stringify({ config: { sample_rate: microphone.rate, words: true } }));
  socket.onmessage = ({ data }) => hear(JSON.parse(data));
  const closed = new Promise((resolve) => { socket.onclose = resolve; });
  const stopped = new Promise((resolve) => { state.stop = resolve; });
  microphone.begin();
  setPressed(true);
  say("listening");
  await Promise.race([stopped, closed]);
  state.stop = null;
  setPressed(false);
  await microphone.stop();
  if (socket.readyState === WebSocket.OPEN) {
    say("finishing");
    socket.send('{"eof" : 1}');
  }
  const { code } = await closed;
  state.sound = joined(pieces, microphone.rate);
  state.busy = false;
  if (code === 1000) say(state.segments.length ? "done" : "nothing");
  else say("lost", "", true);
  end();
}

function setPressed(pressed) {
  element("microphone").setAttribute("aria-pressed", pressed);
  element("microphone").textContent = pressed ? texts().stop : texts().start;
}

/** A message of the server: what is not final yet, or a result. */
function hear(message) {
  if (message.error) say("failed", message.error, true);
  if (message.partial !== undefined) element("partial").textContent = message.partial;
  if (!message.text) return;
  element("partial").textContent = "";
  const heard = (message.result ?? []).map(({ word, start, end: until, conf }) => (
    { text: word, start, end: until, confidence: conf }));
  const last = heard[heard.length - 1];
  const sure = heard.reduce((sum, word) => sum + word.confidence, 0) / heard.length;
  add({ text: message.text, start: heard[0]?.start ?? 0, end: last?.end ?? 0,
    confidence: heard.length ? sure : null, words: heard });
}

// --- files to take away

function result() {
  const seconds = state.sound ? state.sound.samples.length / state.sound.rate : 0;
  const last = state.segments[state.segments.length - 1];
  return { format: "malsori-result", version: 1, source: state.source, model: state.model,
    language: "ko", duration: Math.max(seconds, last?.end ?? 0),
    text: state.segments.map((segment) => segment.text).join(" "), segments: state.segments };
}

async function download(format) {
  try {
    const answer = await post(`/v1/subtitles?format=${format}`, JSON.stringify(result()));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `${state.source.replace(/\.[^.]*$/, "") || "malsori"}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (error) {
    say("failed", error.message, true);
  }
}

// --- the page

function setUp() {
  element("language").onclick = () => speak(texts().otherLang);
  element("microphone").onclick = () => (state.stop ? state.stop() : listen());
  element("file").onchange = ({ target }) => target.files[0] && recogniseFile(target.files[0]);
  const drop = element("drop");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => event.preventDefault());
    drop.addEventListener(kind, () => drop.classList.toggle("over", kind === "dragover"));
  }
  drop.addEventListener("drop", ({ dataTransfer }) => (
    dataTransfer.files[0] && recogniseFile(dataTransfer.files[0])));
  element("player").ontimeupdate = ({ target }) => markSpoken(target.currentTime);
  element("waveform").onclick = ({ offsetX, target }) => play(offsetX / target.dataset.scale);
  for (const button of document.querySelectorAll(".download")) {
    button.onclick = () => download(button.dataset.format);
  }
  addArrowKeys();
  addEventListener("resize", draw);
  speak(navigator.language.startsWith("ko") ? "ko" : "en");
}

setUp();
fetch("/healthz").then((answer) => answer.json()).then((health) => {
  state.model = health.model;
  element("model").textContent = `${health.model} · ${health.version}`;
  element("key-row").hidden = !health.keys;
  catalogue.enable(health.catalog);
});
