// What the page says, in Korean and English.

export const TEXTS = {
  ko: {
    other: "English", otherLang: "en",
    key: "API 키", inputs: "소리 넣기", start: "마이크로 말하기", stop: "그만하기",
    drop: "소리 파일을 여기에 놓거나 고르세요", sound: "소리", text: "글", plain: "텍스트",
    hint: "낱말을 누르면 그 자리부터 들려줍니다. 점선 밑줄과 진한 바탕은 확신이 낮은 낱말입니다.",
    ready: "준비되었습니다.", listening: "듣고 있습니다…", finishing: "마무리하고 있습니다…",
    reading: "파일을 읽고 있습니다…", recognising: "인식하고 있습니다…", done: "끝났습니다.",
    nothing: "알아들은 말이 없습니다.",
    noMicrophone: "마이크를 쓸 수 없습니다. 브라우저의 허락과 https(또는 localhost)가 필요합니다.",
    lost: "서버와 연결이 끊어졌습니다.", refused: "서버가 연결을 받아 주지 않았습니다. 잠시 뒤에 다시 하거나 API 키를 확인하세요.",
    search: "목록에서 찾기", query: "찾을 말", find: "찾기", noHits: "찾지 못했습니다.",
    player: "소리 듣기", slow: "인식이 말을 따라가지 못하고 있습니다…", failed: "하지 못했습니다",
    wave: (seconds, words) => `소리 ${seconds}초, 낱말 ${words}개`,
    word: (word) => `${word.start.toFixed(2)}–${word.end.toFixed(2)}초${
      word.confidence == null ? "" : `, 확신 ${Math.round(word.confidence * 100)}%`}`,
  },
  en: {
    other: "한국어", otherLang: "ko",
    key: "API key", inputs: "Give sound", start: "Speak into the microphone", stop: "Stop",
    drop: "Drop a sound file here, or choose one", sound: "Sound", text: "Text", plain: "Text",
    hint: "A word plays the sound from there. Dotted underline and darker ground: less certain.",
    ready: "Ready.", listening: "Listening…", finishing: "Finishing…",
    reading: "Reading the file…", recognising: "Recognising…", done: "Done.",
    nothing: "No speech was recognised.",
    noMicrophone: "The microphone cannot be used: it needs your permission, and https or localhost.",
    lost: "The connection to the server was lost.", refused: "The server refused the connection: try again later, or check the API key.",
    search: "Find in the catalogue", query: "What to find", find: "Find", noHits: "Nothing found.",
    player: "Play the sound", slow: "Recognition is falling behind…", failed: "It failed",
    wave: (seconds, words) => `${seconds} s of sound, ${words} words`,
    word: (word) => `${word.start.toFixed(2)}–${word.end.toFixed(2)} s${
      word.confidence == null ? "" : `, confidence ${Math.round(word.confidence * 100)}%`}`,
  },
};
