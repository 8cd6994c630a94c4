// The page: its state is its link.

import { call, hasToken, Refused, setToken } from "./api.js";
import { DocumentPanel } from "./document.js";
import { FilterForm, Mistake } from "./filter.js";
import { column, NAMES, SHORT } from "./passages.js";
import { element, named, visible } from "./text.js";

const BUDGET = 512;
const LISTED = 12; // documents named before the first question
const $ = (id) => document.getElementById(id);
const panel = new DocumentPanel();
const filter = new FilterForm();
const MODES = Object.keys(NAMES);
const OTHER = "other"; // to compare with: the same mode in the other index
const indexes = { "": "this index", [OTHER]: "the other index" };
let answers = [];
let asked = ""; // the part of the link that the answers are of
let abort = null;

// The link

function linkOf(state) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) if (value !== undefined && value !== "") query.set(key, value);
  return `?${query}`;
}

function stateOfLink() {
  const state = Object.fromEntries(new URLSearchParams(location.search));
  // An id may hold half of a surrogate pair, which a link cannot.
  return history.state?.doc === undefined ? state : { ...state, doc: history.state.doc };
}

function stateOfForm() {
  const chosen = filter.read();
  return {
    q: $("q").value.trim(),
    mode: $("mode").value === "hybrid" ? "" : $("mode").value,
    vs: $("vs").value,
    budget: Number($("budget").value) === BUDGET ? "" : $("budget").value,
    where: chosen.where === undefined ? "" : JSON.stringify(chosen.where),
    filter: chosen.filter === undefined ? "" : JSON.stringify(chosen.filter),
  };
}

function fillForm(state) {
  $("q").value = state.q ?? "";
  $("mode").value = MODES.includes(state.mode) ? state.mode : "hybrid";
  $("vs").value = [...MODES, OTHER].includes(state.vs) ? state.vs : "";
  $("budget").value = state.budget ?? BUDGET;
  filter.write({ where: json(state.where), filter: json(state.filter) });
}

function json(text) {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

/** The sides that are compared, or the only one: where each asks, and what it is called. */
function sidesOf({ mode, vs }) {
  const first = mode || "hybrid";
  const sides = [{ key: "", root: "", mode: first }];
  if (vs) sides.push(vs === OTHER ? { key: vs, root: "other/", mode: first } : { key: vs, root: "", mode: vs });
  return sides.map((side) =>
    vs === OTHER
      ? { ...side, name: indexes[side.key], told: `in ${indexes[side.key]}` }
      : { ...side, name: NAMES[side.mode], told: `by ${SHORT[side.mode]}` },
  );
}

function body(state, mode) {
  const [where, tree] = [json(state.where), json(state.filter)];
  return {
    question: state.q,
    token_budget: Number(state.budget || BUDGET),
    mode,
    explain: true,
    titles: true,
    ...(where === undefined ? {} : { where }),
    ...(tree === undefined ? {} : { filter: tree }),
  };
}

// What happens

function go(state) {
  history.pushState({ doc: state.doc }, "", linkOf(state));
  return follow();
}

/** Bring the page to where its link is. */
async function follow({ fill = false } = {}) {
  const state = stateOfLink();
  if (fill) fillForm(state);
  const { doc, at, by, ...question } = state;
  document.title = question.q ? `${question.q} · s3-retriever` : "Ask · s3-retriever";
  fail("");
  try {
    if (!question.q) {
      reset();
      return;
    }
    if (linkOf(question) !== asked) await ask(question);
    if (doc !== undefined) await open(doc, placeOf(at), by ?? "");
    else panel.close();
    arrange();
  } catch (error) {
    report(error);
  }
}

async function ask(question) {
  abort?.abort();
  abort = new AbortController();
  const { signal } = abort;
  panel.close();
  busy(true);
  say("Searching…");
  const began = performance.now();
  try {
    const sides = sidesOf(question);
    const found = await Promise.all(
      sides.map(({ root, mode }) => call(`${root}search`, { body: body(question, mode), signal })),
    );
    answers = found.map((one, i) => ({ ...one, ...sides[i] }));
    asked = linkOf(question);
    arrange();
    const amounts = answers.map(({ spans }) => count(spans.length, "passage")).join(" and ");
    const documents = new Set(answers.flatMap(({ spans }) => spans.map((span) => span.doc_id))).size;
    say(`${amounts} from ${count(documents, "document")}, in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  } catch (error) {
    // What is shown must be of the question that the form and the link have.
    if (error.name !== "AbortError") $("skip").hidden = $("results").hidden = true;
    throw error;
  } finally {
    if (!signal.aborted) busy(false);
  }
}

function count(amount, name) {
  return `${amount || "no"} ${name}${amount === 1 ? "" : "s"}`;
}

async function open(id, at, key) {
  const answer = answers.find((one) => one.key === key) ?? answers[0];
  const passages = answer.spans.filter((span) => span.doc_id === id).sort((a, b) => a.start - b.start);
  const place = at ?? passages[0];
  if (panel.isOpen && panel.id === id && panel.key === answer.key) {
    if (place) await panel.show(place);
    return;
  }
  arrange(id, place);
  await panel.open({ ...answer, id, at: place, passages });
}

function placeOf(text) {
  const found = /^(\d+)-(\d+)$/.exec(text ?? "");
  return found ? { start: Number(found[1]), end: Number(found[2]) } : undefined;
}

/** Lay the answers out, beside the document if one is open. */
function arrange(id = panel.id, at = panel.at) {
  $("welcome").hidden = true;
  $("skip").hidden = $("results").hidden = false;
  const isTwo = answers.length > 1;
  $("results").classList.toggle("two", isTwo);
  $("results").classList.toggle("beside", !isTwo && id !== undefined);
  const isOpen = (span) => span.doc_id === id && span.start === at?.start;
  const closed = new Set([...document.querySelectorAll("details.why[open]")].map((one) => one.dataset.key));
  const columns = answers.map((answer, i) => column(answer, answers[1 - i], isOpen, link));
  $("columns").replaceChildren(...columns);
  for (const one of document.querySelectorAll("details.why")) one.open = closed.has(one.dataset.key);
}

/** A link to a passage in its document, on one side. */
function link(span, key) {
  const { doc, at, by, ...question } = stateOfLink();
  const state = { ...question, doc: span.doc_id, at: `${span.start}-${span.end}`, by: key };
  const made = element("a", { href: linkOf(state) });
  made.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(state).then(() => {
      if (!matchMedia("(min-width: 62rem)").matches || answers.length > 1) $("document").scrollIntoView();
      $("doc-title").focus({ preventScroll: true });
    });
  });
  return made;
}

function reset() {
  abort?.abort();
  panel.close();
  asked = "";
  answers = [];
  $("skip").hidden = $("results").hidden = true;
  $("welcome").hidden = false;
  list();
  say("");
}

// What is said

function say(text) {
  $("status").textContent = text;
}

function fail(text) {
  $("error").hidden = !text;
  $("error").textContent = text;
}

function busy(isBusy) {
  $("results").setAttribute("aria-busy", String(isBusy));
  document.querySelector("#ask .main").disabled = isBusy;
}

function report(error) {
  if (error.name === "AbortError") return;
  say("");
  if (error instanceof Refused && error.status === 401) {
    $("token-form").hidden = false;
    $("api-docs").hidden = true; // a link carries no token
    if ($("token").value) fail("The server does not take this token.");
    $("token").focus();
    return;
  }
  fail(error.message);
  if (!(error instanceof Refused) && !(error instanceof Mistake)) console.error(error);
}

/** Name some of what is served. */
async function list() {
  try {
    const { documents, total } = await call(`documents?limit=${LISTED}`);
    const items = documents.map(({ id, title, length }) =>
      element("li", {}, element("bdi", {}, visible(title || id)), element("span", { class: "quiet" }, ` ${length.toLocaleString("en")} characters`)),
    );
    if (total > documents.length) items.push(element("li", { class: "quiet" }, `and ${(total - documents.length).toLocaleString("en")} more`));
    $("document-list").replaceChildren(...items);
    $("documents").hidden = !total;
  } catch (error) {
    report(error);
  }
}

async function describe() {
  try {
    const state = await call("readyz");
    const what = count(state.documents, "document");
    $("about").textContent = `${what} served${state.read_only ? ", for reading only" : ""}`;
    indexes[""] = state.name;
    if (state.other) {
      indexes[OTHER] = state.other;
      const option = element("option", { value: OTHER }, `the index ${named(state.other)}`);
      $("vs").append(option);
      if (stateOfLink().vs === OTHER) $("vs").value = OTHER;
    }
    return state.stale && `The folder cannot be read any more; its last version is served: ${state.stale}`;
  } catch (error) {
    report(error);
  }
  return "";
}

// Controls

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  let state;
  try {
    state = stateOfForm();
  } catch (error) {
    report(error);
    return;
  }
  if (!state.q) return;
  asked = ""; // asking again asks again
  go(state).then(() => {
    if (answers.length && $("error").hidden) $("results").focus({ preventScroll: true });
  });
});
for (const id of ["mode", "vs"]) {
  $(id).addEventListener("change", () => {
    if (stateOfLink().q) $("ask").requestSubmit();
  });
}
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value);
  $("token-form").hidden = true;
  asked = "";
  follow();
});
$("home").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  history.pushState(null, "", "./");
  follow({ fill: true });
  $("q").focus();
});
$("doc-close").addEventListener("click", () => {
  const { doc, at, by, ...question } = stateOfLink();
  go(question).then(() => document.querySelector(".passage a")?.focus());
});
$("theme").value = document.documentElement.dataset.theme ?? "auto";
$("theme").addEventListener("change", () => {
  const theme = $("theme").value;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
});
panel.onPlace = (place) => go({ ...stateOfLink(), at: `${place.start}-${place.end}` });
panel.onError = report;
panel.onFilter = (key, value) => {
  if ($("as-json").checked) return;
  filter.open(true);
  for (const row of [...$("rows").children]) if (!row.querySelector(".key").value) row.remove();
  filter.add({ key, op: Array.isArray(value) ? "all" : "eq", value });
  $("filter-toggle").scrollIntoView({ block: "nearest" });
};
$("api-docs").hidden = hasToken();
addEventListener("popstate", () => follow({ fill: true }));

describe().then(async (odd) => {
  await follow({ fill: true });
  if (odd) fail(odd);
});
