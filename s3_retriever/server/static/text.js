// Texts of others as nodes: always text, with what is invisible named and what met something lit.
// Offsets count code points, as Python does.

const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/u;
const KEPT = new Set(["\n", "\t", "\u200c", "\u200d"]);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function nameOf(character) {
  if (KEPT.has(character) || !HIDDEN.test(character)) return "";
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** A text as nodes; the end of a Windows line is a line break. */
export function visible(text) {
  const nodes = document.createDocumentFragment();
  let plain = "";
  for (const character of text.replaceAll("\r\n", "\n")) {
    const name = nameOf(character);
    if (!name) plain += character;
    else {
      nodes.append(plain, element("span", { class: "char", title: "a character that is not visible" }, name));
      plain = "";
    }
  }
  nodes.append(plain);
  return nodes;
}

/** A text for an attribute. */
export function named(text) {
  return Array.from(text, (character) => (nameOf(character) ? `[${nameOf(character)}]` : character)).join("");
}

/** Whole percents that add up to 100, as `percents` in shown.py. */
export function percents(shares) {
  const total = shares.reduce((sum, share) => sum + share, 0);
  if (!(total > 0)) return shares.map(() => 0);
  const exact = shares.map((share) => (100 * share) / total);
  const found = exact.map(Math.floor);
  const order = exact.map((_, i) => i).sort((a, b) => found[a] - exact[a] - (found[b] - exact[b]) || a - b);
  const left = 100 - found.reduce((sum, one) => sum + one, 0);
  for (const i of order.slice(0, left)) found[i] += 1;
  return found;
}

/** Matches of equal words together, as `grouped` in shown.py. */
export function grouped(matches) {
  const found = new Map();
  for (const one of matches) {
    const key = JSON.stringify([one.word.toLowerCase(), one.text.toLowerCase(), one.field]);
    const old = found.get(key) ?? { word: one.word, text: one.text, field: one.field, s3: 0, bm25: 0, places: 0 };
    found.set(key, { ...old, s3: old.s3 + one.s3, bm25: old.bm25 + one.bm25, places: old.places + 1 });
  }
  return [...found.values()].sort((a, b) => b.s3 + b.bm25 - (a.s3 + a.bm25));
}

/**
 * Characters as nodes, words that met something lit.
 * characters: an array, of which the first has the offset `start`; matches: of one explanation.
 */
export function lit(characters, start, matches) {
  const end = start + characters.length;
  const inside = matches.filter((one) => (one.field ?? "text") === "text" && one.start < end && one.end > start);
  const borders = new Set([start, end]);
  for (const one of inside) for (const at of [one.start, one.end]) borders.add(Math.min(Math.max(at, start), end));
  const ordered = [...borders].sort((a, b) => a - b);
  const most = Math.max(...matches.map((one) => one.s3), 1e-9);
  const nodes = document.createDocumentFragment();
  for (let i = 0; i + 1 < ordered.length; i++) {
    const [first, last] = [ordered[i], ordered[i + 1]];
    const text = visible(characters.slice(first - start, last - start).join(""));
    const here = inside.filter((one) => one.start < last && one.end > first);
    nodes.append(here.length ? mark(text, here, most, first) : text);
  }
  return nodes;
}

function mark(text, matches, most, start) {
  const [s3, bm25] = ["s3", "bm25"].map((side) => matches.reduce((sum, one) => sum + one[side], 0));
  const told = matches.map((one) => `“${named(one.word)}” ${percent(one.s3 + one.bm25)}`).join(", ");
  const made = element("mark", { class: `lit${s3 ? " by-s3" : ""}${bm25 ? " by-bm25" : ""}`, title: `met ${told}`, "data-start": start }, text);
  if (s3) made.style.setProperty("--a", Math.min(1, 0.25 + (0.75 * s3) / most).toFixed(2));
  return made;
}

export function percent(share) {
  return share > 0 && share < 0.01 ? "under 1 %" : `${Math.round(100 * share)} %`;
}

/** A bar of two colours; s3 + bm25 is at most 1. */
export function bar(s3, bm25) {
  const parts = [
    svg("rect", { class: "s3", x: 0, y: 0, width: 100 * s3, height: 10 }),
    svg("rect", { class: "bm25", x: 100 * s3, y: 0, width: 100 * bm25, height: 10 }),
  ];
  return svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}
