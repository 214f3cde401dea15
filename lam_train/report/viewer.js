"use strict";
// Everything below is put in place as text nodes: what applications and models write stays text.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const OUTCOMES = { success: "success", fail: "failed", unsure: "unsure", error: "application error" };
const SIGNS = { added: "+", removed: "−", changed: "~", window: "▣", more: "…" };
const PLAIN = ["Default Paragraph Style", "Standard", "Normal", "Body Text", "Text Body", "Text body"]; // need no name
let view = { episode: null, step: 0, tab: null, filter: "", wide: false };

function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) node[key] = value;
  }
  for (const child of children.flat(3)) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}
const card = (title, ...children) => el("section", { class: "card" }, el("h2", {}, title), ...children);
const nothing = (text) => el("p", { class: "nothing" }, text);
const address = (episode, step) => `#e=${episode}&s=${step}`;
const seconds = (value) => (value === null || value === undefined ? "" : `${value.toFixed(value < 10 ? 2 : 1)} s`);
const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

// Observations are stored with the numbers of their controls, a control as a list of its fields.
function controlsOf(number) {
  const observation = data.observations[number];
  return observation.controls.map((control, place) => {
    const [type, text, selected, checked, value, enabled] = data.controls[control];
    const label = observation.labels ? observation.labels[place] : String(place + 1);
    return { label, type, text, selected, checked, value, enabled };
  });
}

// The list of episodes ------------------------------------------------------------------------------------------------

function choices(select, all, names, shown = (name) => name) {
  select.replaceChildren(el("option", { value: "" }, all), ...names.map((name) => el("option", { value: name }, shown(name))));
  select.addEventListener("change", showList);
}
const distinct = (key) => [...new Set(data.episodes.map((episode) => episode[key]))].filter(Boolean);

function matches(episode) {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = [episode.request, episode.task, episode.template, episode.reason, episode.family].join(" ").toLowerCase();
  const chosen = (id, key = id) => !at(id).value || at(id).value === episode[key];
  const cause = at("outcome").value.startsWith("reason:") ? episode.reason === at("outcome").value.slice(7) : chosen("outcome");
  return cause && chosen("model") && chosen("family") && chosen("template") && words.every((word) => text.includes(word));
}
const shownEpisodes = () => data.episodes.map((episode, number) => number).filter((number) => matches(data.episodes[number]));

function showList() {
  const numbers = shownEpisodes();
  const good = numbers.filter((number) => data.episodes[number].outcome === "success").length;
  at("count").textContent = `${numbers.length} of ${data.episodes.length} episodes, ${good} successful`;
  at("episodes").replaceChildren(...numbers.map((number) => {
    const episode = data.episodes[number];
    const count = episode.steps.length;
    return el("li", {}, el("a", { href: address(number, 0), class: number === view.episode ? "chosen" : "" },
      el("span", { class: "request" }, el("span", { class: `dot ${episode.outcome}` }), episode.request),
      el("span", { class: "meta" }, [episode.model, episode.family, `${count} step${count === 1 ? "" : "s"}`,
        episode.reason].filter(Boolean).join(" · "))));
  }));
  at("episodes").querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
}

// The overview --------------------------------------------------------------------------------------------------------

function scoreCell(found, share) {
  if (!found) return el("td", {}, "–");
  const [mean, low, high] = found.map((value) => (share ? 100 * value : value));
  const digits = share ? 1 : 2;
  const bar = el("div", { class: "bar" }, el("i"), el("s"));
  bar.firstChild.style.width = `${mean}%`;
  bar.lastChild.style.left = `${low}%`;
  bar.lastChild.style.width = `${Math.max(high - low, 0.5)}%`;
  return el("td", {}, mean.toFixed(digits), share ? bar : el("br"),
    el("span", { class: "range" }, `${low.toFixed(digits)} – ${high.toFixed(digits)}`));
}

function overview() {
  const head = data.head;
  const rows = head.scores.map(([name, found]) => el("tr", {}, el("td", { class: "name" }, name),
    ...found.map((one, place) => scoreCell(one, head.columns[place][2]))));
  const titles = head.columns.map(([, title, share]) => el("th", {}, share && !title.includes("%") ? `${title} %` : title));
  return [
    el("h1", {}, `${head.kind === "offline" ? "Offline: steps decided on the expert's history" : "Online: acting in the application"}`),
    el("p", { class: "verdict" }, `${head.tasks} tasks on ${head.templates} documents` +
      (head.steps ? `, ${head.steps} steps` : "") + `; ${Math.round(100 * head.level)} % bootstrap intervals below the means.`),
    el("div", { class: "column" },
      card("Scores, of all tasks", el("table", { class: "scores" }, el("tr", {}, el("th", {}, ""), ...titles), ...rows)),
      matrix()),
  ];
}

function matrix() {
  const models = distinct("model");
  const tasks = new Map();
  data.episodes.forEach((episode, number) => {
    if (!tasks.has(episode.task)) tasks.set(episode.task, {});
    tasks.get(episode.task)[episode.model] = number;
  });
  const rows = [...tasks.values()].map((byModel) => {
    const first = data.episodes[Object.values(byModel)[0]];
    return el("tr", {}, el("td", { class: "request", title: first.request }, first.request), el("td", { class: "meta" }, first.family),
      ...models.map((model) => el("td", {}, byModel[model] === undefined ? "" : outcomeLink(byModel[model]))));
  });
  return card(`The ${tasks.size} tasks of this page`, el("table", { class: "matrix" },
    el("tr", {}, el("th", {}, "request"), el("th", {}, "family"), ...models.map((model) => el("th", {}, model))), ...rows));
}

function outcomeLink(number) {
  const episode = data.episodes[number];
  const looks = { success: "right", fail: "wrong" }[episode.outcome] || "warn";
  return el("a", { href: address(number, 0), class: looks }, episode.reason || OUTCOMES[episode.outcome] || episode.outcome);
}

// One episode ---------------------------------------------------------------------------------------------------------

function showEpisode() {
  const episode = data.episodes[view.episode];
  const ended = view.step >= episode.steps.length;
  const step = ended ? null : episode.steps[view.step];
  const peers = data.episodes.map((other, number) => [other, number]).filter(([other]) => other.task === episode.task);
  const head = [
    el("h1", {}, episode.request),
    el("div", { class: "chips" },
      ...peers.map(([other, number]) => el("a", { class: `chip ${number === view.episode ? "here" : ""}`, href: address(number, 0) },
        el("span", { class: `dot ${other.outcome}` }), other.model)),
      el("span", { class: `chip ${episode.outcome}` }, [OUTCOMES[episode.outcome], episode.reason].filter(Boolean).join(": ")),
      ...[episode.family, episode.template, episode.wording && `wording ${episode.wording}`, seconds(episode.seconds), episode.task]
        .filter(Boolean).map((text) => el("span", { class: "chip meta" }, text))),
    episode.verdict && el("p", { class: "verdict" }, episode.verdict),
    stepStrip(episode),
  ];
  const body = ended ? [endCards(episode)] : [el("div", { class: view.wide ? "columns wide" : "columns" },
    el("div", { class: "column" }, screenCard(step.o, step.picture, step.action)),
    el("div", { class: "column" }, answerCard(step), resultCard(step), controlsCard(step.o, step)))];
  at("main").replaceChildren(...[...head, ...body].filter(Boolean));
  const list = at("main").querySelector(".controls .rows");
  const chosen = list?.querySelector(".chosen") || list?.querySelector(".also");
  if (chosen) list.scrollTop = chosen.offsetTop - list.offsetTop - 120;
  const paper = at("main").querySelector(".paper");
  const marked = paper?.querySelector(".chosen, mark");
  if (marked) paper.scrollTop = marked.offsetTop - paper.offsetTop - 120;
}

function stepStrip(episode) {
  const looks = (step) => {
    if (step.marks) return step.marks.object && step.marks.operation && step.marks.status ? "good" : "bad";
    return step.error || step.problem ? "bad" : "good";
  };
  const name = (step) => step.problem ? "no action" : step.action.function || "finish";
  const buttons = episode.steps.map((step, place) => [`${place + 1}  ${name(step)}`, looks(step)]);
  if (data.head.kind === "online") buttons.push(["end", ""]);
  return el("div", { class: "steps" }, ...buttons.map(([text, look], place) => el("button", {
    class: `${look} ${place === view.step ? "chosen" : ""}`, onclick: () => { location.hash = address(view.episode, place); } }, text)),
    el("span", { class: "keys" }, "← → steps, ↑ ↓ episodes"));
}

function screenCard(number, picture, action) {
  const observation = data.observations[number];
  const tabs = picture === null ? ["document"] : ["picture", "document"];
  const tab = tabs.includes(view.tab) ? view.tab : tabs[0];
  const buttons = tabs.length < 2 ? [] : tabs.map((name) => el("button", { class: name === tab ? "chosen" : "",
    onclick: () => { view.tab = name; showEpisode(); } }, name));
  return el("section", { class: "card screen" },
    el("div", { class: "top" }, el("h2", {}, "Screen"), el("div", { class: "tabs" }, ...buttons)),
    el("p", { class: "window" }, observation.window + (observation.modal ? " (dialog or menu)" : "")),
    tab === "picture" ? el("img", { src: data.pictures[picture], alt: "Screenshot", title: "click: larger or smaller",
      onclick: () => { view.wide = !view.wide; showEpisode(); } }) : rendering(number, action));
}

// The document's text as the observation has it; where a dialog or menu hides it, that one's controls.
function rendering(number, action) {
  const chosen = action?.control_label || null;
  const controls = controlsOf(number);
  const texts = controls.filter((control) => control.type === "Document");
  if (!texts.length) {
    return el("div", { class: "dialog" }, ...controls.map((control) => el("span",
      { class: control.label === chosen ? "chosen" : "" }, control.text || control.type, control.value ? `: ${control.value}` : "")));
  }
  const paper = el("div", { class: "paper" });
  const wanted = action?.function === "select_text" && typeof action.args.text === "string" ? action.args.text : "";
  let left = wanted ? 1 : 0; // the first occurrence is the one that is selected
  const marked = (text) => {
    const start = left ? text.indexOf(wanted) : -1;
    if (start < 0) return text;
    left = 0;
    return [text.slice(0, start), el("mark", {}, wanted), text.slice(start + wanted.length)];
  };
  let table = null;
  for (const control of texts) {
    const cell = /^(.+)\.([A-Z]+)(\d+)$/.exec(control.value || "");
    const mark = control.label === chosen ? " chosen" : "";
    if (!cell) {
      table = null;
      paper.append(el("p", { class: paragraphClass(control.value || "") + mark }, marked(control.text),
        control.value && !PLAIN.includes(control.value) && el("span", { class: "style" }, control.value)));
      continue;
    }
    if (!table || table.name !== cell[1]) {
      table = { name: cell[1], node: el("table"), row: null, at: "" };
      paper.append(table.node);
    }
    if (table.at !== cell[3]) {
      table.at = cell[3];
      table.row = el("tr");
      table.node.append(table.row);
    }
    table.row.append(el("td", { class: mark.trim() }, marked(control.text)));
  }
  return paper;
}

function paragraphClass(style) {
  const level = /^Heading (\d)/.exec(style);
  if (level) return `h${Math.min(Number(level[1]), 3)}`;
  if (/^(Title|Subtitle)/.test(style)) return style.startsWith("T") ? "title" : "subtitle";
  if (/^(List Number|Numbering)/.test(style)) return "list number";
  return /^List/.test(style) ? "list" : "";
}

function controlsCard(number, step) {
  const filter = el("input", { type: "search", placeholder: "Filter controls", value: view.filter });
  const list = el("ul", { class: "rows" });
  const fill = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    view.filter = filter.value;
    const shown = controlsOf(number).filter((c) => words.every((word) => `${c.label} ${c.type} ${c.text} ${c.value || ""}`.toLowerCase().includes(word)));
    list.replaceChildren(...shown.map((control) => controlLine(control, step)));
  };
  filter.addEventListener("input", fill);
  fill();
  const count = data.observations[number].controls.length;
  return el("section", { class: "card controls" }, el("div", { class: "top" }, el("h2", {}, `${count} controls`), filter), list);
}

function controlLine(control, step) {
  const states = [];
  if (control.selected) states.push("selected");
  if (control.checked !== null) states.push(control.checked ? "checked" : "not checked");
  if (control.value) states.push(control.value);
  if (!control.enabled) states.push("disabled");
  const chosen = step?.action && control.label === step.action.control_label;
  const also = !chosen && (step?.acceptable.includes(control.label) || control.label === step?.expected?.control_label);
  const looks = [chosen && "chosen", also && "also", !control.enabled && "off"].filter(Boolean).join(" ");
  return el("li", { class: looks }, el("span", { class: "label" }, control.label), el("span", { class: "type" }, control.type),
    el("span", { class: "text" }, control.text || "–", ...states.map((state) => el("em", {}, state)),
      also && el("em", {}, step.expected ? "right" : "would do the same")));
}

function call(action, step) {
  const control = controlsOf(step.o).find((one) => one.label === action.control_label);
  const args = Object.entries(action.args).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ");
  const where = action.control_label ? `  on ${action.control_label} ${control ? `${control.type} “${short(control.text, 80)}”` : "(not on the screen)"}` : "";
  return el("p", { class: "call" }, el("b", {}, action.function || "(nothing)"), action.function ? `(${args})` : "", where);
}

function fields(action) {
  const rows = [["status", action.status], ["thought", action.thought], ["plan", action.plan.join("\n")]].filter(([, text]) => text);
  return el("dl", {}, ...rows.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
}

function answerCard(step) {
  const parts = step.action && !step.problem ? [call(step.action, step), fields(step.action)] : [el("p", { class: "result wrong" }, step.problem)];
  if (step.marks) {
    parts.push(el("div", { class: "marks" }, ...Object.entries(step.marks).map(([name, right]) =>
      el("span", { class: right ? "right" : "wrong" }, `${name} ${right ? "✓" : "✗"}`))));
  }
  if (step.expected) {
    parts.push(el("div", { class: "expected" }, el("p", { class: "label" }, "The expert did"), call(step.expected, step), fields(step.expected)));
  }
  if (step.answer) parts.push(el("details", { open: Boolean(step.problem) }, el("summary", {}, "as written"), el("pre", {}, step.answer)));
  return card(step.marks ? "The model's answer" : "The answer", ...parts);
}

function resultCard(step) {
  const parts = [];
  if (step.result) parts.push(el("p", { class: `result ${step.error ? "wrong" : ""}` }, step.result));
  else if (step.error) parts.push(el("p", { class: "result wrong" }, "refused"));
  const times = [step.seconds !== null && `step ${seconds(step.seconds)}`, step.decision !== null && `of it deciding ${seconds(step.decision)}`].filter(Boolean);
  if (step.changes === null) parts.push(nothing("The screen after it was not kept."));
  else parts.push(step.changes.length ? el("ul", { class: "changes" }, ...step.changes.map(([kind, what, detail]) =>
    el("li", { class: kind }, el("span", { class: "sign" }, SIGNS[kind] || "·"), el("span", {}, what, " ", el("span", { class: "detail" }, detail)))))
    : nothing("Nothing on the screen changed."));
  if (times.length) parts.push(el("p", { class: "meta" }, times.join(", ")));
  return card(step.expected ? "After the expert's action" : "Result, and what changed", ...parts);
}

function endCards(episode) {
  const document_ = episode.document === null ? nothing("The document was not kept.")
    : !episode.document.length ? nothing("The document is as it was.")
      : el("div", { class: "diff" }, ...episode.document.map(([kind, pieces]) => el("div", { class: kind },
        { same: "  ", gone: "− ", new: "+ ", gap: "⋯" }[kind],
        ...pieces.map(([what, text]) => what === "gone" ? el("del", {}, text) : what === "new" ? el("ins", {}, text) : text))));
  const verdict = el("p", { class: `result ${episode.outcome === "success" ? "right" : "wrong"}` },
    [OUTCOMES[episode.outcome], episode.reason, episode.verdict].filter(Boolean).join(": "));
  const left = el("div", { class: "column" }, card("Verdict", verdict), card("What became of the document", document_));
  if (episode.last === null) return left;
  const right = el("div", { class: "column" }, screenCard(episode.last, episode.lastPicture, null), controlsCard(episode.last, null));
  return el("div", { class: "columns" }, left, right);
}

// Where we are: #e=EPISODE&s=STEP -------------------------------------------------------------------------------------

function go() {
  const place = new URLSearchParams(location.hash.slice(1));
  const episode = Number.parseInt(place.get("e"), 10);
  view = { ...view, episode: data.episodes[episode] ? episode : null, step: Math.max(Number.parseInt(place.get("s"), 10) || 0, 0) };
  if (view.episode === null) at("main").replaceChildren(...overview());
  else showEpisode();
  for (const link of at("episodes").querySelectorAll("a")) link.className = link.hash === address(view.episode, 0) ? "chosen" : "";
  at("episodes").querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
  const along = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const across = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (along && view.episode !== null) {
    const most = data.episodes[view.episode].steps.length - (data.head.kind === "online" ? 0 : 1);
    location.hash = address(view.episode, Math.min(Math.max(view.step + along, 0), most));
  } else if (across) {
    const numbers = shownEpisodes();
    const now = numbers.indexOf(view.episode);
    const next = numbers[now < 0 ? 0 : Math.min(Math.max(now + across, 0), numbers.length - 1)];
    if (next !== undefined) location.hash = address(next, 0);
  } else return;
  event.preventDefault();
});

const reasons = distinct("reason").map((reason) => `reason:${reason}`);
choices(at("model"), "all models", distinct("model"));
choices(at("outcome"), "all outcomes", [...distinct("outcome"), ...reasons], (name) => name.startsWith("reason:") ? `– ${name.slice(7)}` : OUTCOMES[name] || name);
choices(at("family"), "all families", distinct("family").sort());
choices(at("template"), "all documents", distinct("template").sort());
at("search").addEventListener("input", showList);
window.addEventListener("hashchange", go);
at("home").textContent = `Episodes, ${data.head.kind}`;
at("what").textContent = data.head.scores.map(([name]) => name).join(", ");
document.title = `Episodes, ${data.head.kind} evaluation`;
showList();
go();
