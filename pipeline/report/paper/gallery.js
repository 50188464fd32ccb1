// The gallery: which rows are shown, a page at a time, and one of them whole. The address says which row is open: #row-123, or #row-123-2
// for its third sample.

const PAGE = 24;
const STATES = { shown: [], page: 0 };
const keyOf = (card) => `row-${card.row}${card.sample ? `-${card.sample}` : ""}`;
const titleOf = (card) => `Row ${card.row}${data.samples > 1 ? ` · sample ${card.sample + 1}` : ""}`;

for (const card of data.cards) {
  const words = [`row ${card.row}`, card.status, card.error, card.model, ...card.tags, ...Object.values(card.inputs), ...Object.values(card.answer)];
  card.words = words.filter(Boolean).join("\n").toLowerCase();
}

const chip = (kind, words) => make("span", { class: `chip ${kind}` }, words);
const picture = (index) => make("img", { src: data.pictures[index], alt: "", loading: "lazy", decoding: "async" });
const fields = (cells) => Object.entries(cells).map(([name, text]) =>
  make("span", { class: "field" }, Object.keys(cells).length > 1 ? make("b", {}, name) : "", make("span", { dir: "auto" }, text)));

function cardOf(card) {
  const shots = card.pictures.length ? make("span", { class: card.pictures.length > 1 ? "shots many" : "shots" }, card.pictures.slice(0, 3).map(picture)) : "";
  const tags = card.tags.filter((tag) => tag !== "sampled" && tag !== card.status);
  return make("button", { type: "button", class: `card ${card.kind}`, id: `card-${keyOf(card)}`, "data-key": keyOf(card), "aria-haspopup": "dialog" },
    shots,
    make("span", { class: "text" },
      make("span", { class: "tags" }, chip(card.kind, card.status), tags.map((tag) => chip("idle", tag))),
      Object.keys(card.inputs).length ? make("span", { class: "asked" }, fields(card.inputs)) : "",
      Object.keys(card.answer).length ? make("span", { class: "said" }, fields(card.answer)) : "",
      card.error ? make("span", { class: "trouble", dir: "auto" }, card.error) : ""),
    make("span", { class: "base" }, make("span", {}, titleOf(card)), make("span", {}, make("b", {}, card.facts.Cost), ` · ${card.facts.Latency}`)));
}

function chosen() {
  const value = (id) => find(id)?.value ?? "";
  const words = value("q").toLowerCase().split(/\s+/).filter(Boolean);
  const [status, tag, model, order] = ["status", "tag", "model", "order"].map(value);
  const kept = data.cards.filter((card) => (!status || card.status === status) && (!tag || card.tags.includes(tag))
    && (!model || card.model === model) && words.every((word) => card.words.includes(word)));
  return order === "row" ? kept : kept.sort((one, other) => (other[order] ?? -1) - (one[order] ?? -1));
}

function draw() {
  const pages = Math.max(1, Math.ceil(STATES.shown.length / PAGE));
  STATES.page = Math.min(STATES.page, pages - 1);
  const from = STATES.page * PAGE;
  const some = STATES.shown.slice(from, from + PAGE);
  find("cards").replaceChildren(...some.map(cardOf));
  const of = data.cards.length === STATES.shown.length ? "" : ` of ${data.cards.length.toLocaleString("en")}`;
  const range = pages > 1 ? `, here ${from + 1} to ${from + some.length}` : "";
  find("found").textContent = some.length ? `${STATES.shown.length.toLocaleString("en")}${of} rows${range}` : "No row fits. Search for less, or choose “all”.";
  find("pager").hidden = pages < 2;
  find("page").textContent = `${STATES.page + 1} / ${pages}`;
  find("before").disabled = STATES.page === 0;
  find("after").disabled = STATES.page === pages - 1;
}

function turn(by) {
  STATES.page += by;
  draw();
  find("rows").scrollIntoView();
}

function refilter() {
  STATES.shown = chosen();
  STATES.page = 0;
  draw();
}

const described = (kind, entries) => make("dl", { class: kind }, entries.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", { dir: "auto" }, value))));
const titled = (title, ...content) => [make("h3", {}, title), ...content];

function trialOf(trial, index, all) {
  const last = all.length - 1;
  return make("div", { class: "trial" },
    make("p", {}, make("b", {}, `${index + 1}.`), chip(trial.kind, trial.status ?? trial.state), trial.facts.map((fact) => make("span", { class: "quiet" }, fact))),
    trial.error ? make("p", { class: "trouble", dir: "auto" }, trial.error) : "",
    trial.reply ? make("details", { open: index === last ? "open" : "" }, make("summary", {}, "Reply"), make("pre", { tabindex: "0" }, trial.reply)) : "");
}

/** What was asked and answered, beside the pictures. */
function wholeOf(card) {
  const filled = (cells) => Object.keys(cells).length > 0;
  return make("div", { class: card.pictures.length ? "whole shown" : "whole" },
    card.pictures.length ? make("div", { class: "pictures" }, card.pictures.map(picture)) : "",
    make("div", {},
      card.error ? titled("Error", make("p", { class: "message", dir: "auto" }, card.error)) : "",
      filled(card.answer) ? titled("Answer", described("cells", Object.entries(card.answer))) : "",
      filled(card.inputs) ? titled("Input", described("cells", Object.entries(card.inputs))) : ""));
}

function sheetOf(card) {
  const button = (id, label, words) => make("button", { type: "button", class: "ghost", id, "aria-label": label }, words);
  const request = card.request === null ? make("p", { class: "quiet" }, "It could not be made again.") : make("pre", { tabindex: "0" }, card.request);
  return [
    make("header", {}, make("h2", { id: "row-title", tabindex: "-1" }, titleOf(card)),
      make("span", { class: "tags" }, chip(card.kind, card.status), card.tags.map((tag) => chip("idle", tag))), make("span", { class: "space" }), button("row-before", "Previous row", "←"), button("row-after", "Next row", "→"), button("row-close", "Close", "✕")),
    described("figures", Object.entries(card.facts)),
    wholeOf(card),
    ...titled("Request", request),
    ...titled(card.trials.length === 1 ? "Attempt" : `Attempts (${card.trials.length})`, ...card.trials.map(trialOf)),
  ];
}

const dialog = find("row");
const openKey = () => location.hash.slice(1); // keys have nothing that an address would encode

function open() {
  const card = data.cards.find((each) => keyOf(each) === openKey()) ?? data.cards.find((each) => `row-${each.row}` === openKey());
  if (!card) return dialog.open && dialog.close();
  dialog.firstElementChild.replaceChildren(...sheetOf(card));
  const at = STATES.shown.indexOf(card);
  for (const [id, by] of [["row-before", -1], ["row-after", 1]]) {
    const next = at < 0 ? undefined : STATES.shown[at + by];
    find(id).disabled = !next;
    find(id).addEventListener("click", () => next && location.replace(`#${keyOf(next)}`));
  }
  find("row-close").addEventListener("click", () => dialog.close());
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  find("row-title").focus();
}

function closed() {
  const key = openKey();
  if (!key.startsWith("row-")) return;
  history.replaceState(null, "", "#rows");
  find(`card-${key}`)?.focus();
}

function listen() {
  find("filters").addEventListener("input", refilter);
  find("filters").addEventListener("submit", (event) => event.preventDefault());
  find("before").addEventListener("click", () => turn(-1));
  find("after").addEventListener("click", () => turn(1));
  find("cards").addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]")?.dataset.key;
    if (key) location.hash = key;
  });
  dialog.addEventListener("close", closed);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const id = { ArrowLeft: "row-before", ArrowRight: "row-after" }[event.key];
    if (id && !event.target.closest("pre")) find(id).click();
  });
  addEventListener("hashchange", open);
}

if (data.cards.length) {
  refilter();
  listen();
  open();
}
