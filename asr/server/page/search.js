// The catalogue, where the service has one: a box to type into, and what was said is searched too.

const element = (id) => document.getElementById(id);

/** Set up the box. `headers` gives those of a request, `texts` what is said in which language. */
export function setUpSearch(headers, texts) {
  const show = (found) => {
    const rows = found.hits.map((hit) => {
      const row = document.createElement("li");
      const name = document.createElement("strong");
      name.textContent = hit.name;
      row.append(name, ` ${Math.round(hit.score * 100)}% `, hit.intent.join(" "));
      return row;
    });
    element("hits").replaceChildren(...rows);
    element("found").textContent = rows.length ? "" : texts().noHits;
  };
  const search = async (text) => {
    const query = text.trim().slice(0, 400);  // longer ones are refused
    if (element("search-part").hidden || !query) return;
    const answer = await fetch(`/search?q=${encodeURIComponent(query)}`, { headers: headers() });
    if (answer.ok) show(await answer.json());
    else {
      element("hits").replaceChildren();
      element("found").textContent = texts().failed;
    }
  };
  element("search-form").onsubmit = (event) => {
    event.preventDefault();
    search(element("query").value);
  };
  return {
    enable: (there) => { element("search-part").hidden = !there; },
    heard: (text) => {
      if (element("search-part").hidden) return;
      element("query").value = text;
      search(text);
    },
  };
}
