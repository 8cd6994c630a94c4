// The passages of an answer, and why they are there.

import { bar, element, grouped, lit, named, percents, visible } from "./text.js";

export const NAMES = { hybrid: "S3 and BM25", s3: "S3 only", bm25: "BM25 only" };
export const SHORT = { hybrid: "S3 and BM25", s3: "S3", bm25: "BM25" };
const ABOVE = {
  title: "the title",
  path: "the path",
  heading: "a heading",
  opening: "a line that opens it",
  page: "the number of its page",
};
const ROWS = 8;
const COPIES = 4; // other places that are named

/** One answer as a column. */
export function column(answer, other, isOpen, link) {
  const list = element("ol", { class: "passages" });
  answer.spans.forEach((span, i) => list.append(passage(span, i + 1, answer, other, isOpen(span), link)));
  const amount = answer.spans.length;
  const title = element("h2", {}, visible(answer.name), " ");
  title.append(element("span", { class: "quiet" }, amount === 1 ? "1 passage" : `${amount || "no"} passages`));
  const made = element("section", { class: "column", "aria-label": `Passages ${named(answer.told)}` }, title);
  if (amount) made.append(list);
  else made.append(element("p", { class: "quiet" }, nothing(answer.mode)));
  return made;
}

function nothing(mode) {
  return mode === "bm25"
    ? "No word of the question stands in what was searched."
    : "Nothing was searched: the index is empty, or no document passes the filter.";
}

function passage(span, rank, answer, other, isOpen, link) {
  const title = span.title || span.doc_id;
  const open = link(span, answer.key);
  const heading = element("h3", {}, element("span", { class: "rank" }, `${rank}.`), open);
  open.append(element("bdi", {}, visible(title)));
  const made = element("li", { class: `passage${isOpen ? " open" : ""}` });
  made.append(
    element("header", {}, heading, element("span", { class: "score" }, `score ${span.score.toFixed(3)}`)),
    element("p", { class: "place" }, ...place(span)),
    element("p", { class: "words", dir: "auto" }, lit(Array.from(span.text), span.start, span.explanation?.words ?? [])),
  );
  // What stands above it and must be read before, such as the header of its table.
  if (span.header) made.querySelector(".words").before(element("p", { class: "words header", dir: "auto" }, visible(span.header)));
  if (span.also_in?.length) made.append(copies(span.also_in, answer.key, link));
  if (other) made.querySelector(".place").append(" ", tag(span, other));
  if (span.explanation) {
    const reasons = why(span.explanation);
    reasons.dataset.key = `${answer.key} ${span.id}`;
    made.append(reasons);
  }
  return made;
}

function place(span) {
  const parts = [];
  if (span.title) parts.push(element("bdi", {}, visible(span.doc_id)), " · ");
  parts.push(`characters ${span.start}–${span.end}`);
  const pages = span.pages ?? [];
  if (pages.length) parts.push(pages.length > 1 ? ` · pages ${pages[0]}–${pages.at(-1)}` : ` · page ${pages[0]}`);
  if (span.kind === "code" && span.lines) parts.push(` · lines ${span.lines[0]}–${span.lines[1]}`);
  if (span.heading_path?.length) parts.push(" · ", element("bdi", {}, visible(span.heading_path.join(" › "))));
  return parts;
}

function tag(span, other) {
  const number = other.spans.findIndex(
    (one) => one.doc_id === span.doc_id && one.start < span.end && one.end > span.start,
  );
  return number < 0
    ? element("span", { class: "tag only" }, "not found ", visible(other.told))
    : element("span", { class: "tag" }, `no. ${number + 1} `, visible(other.told));
}

/** Where else the passage stands, as links. */
function copies(also, key, link) {
  const parts = also.slice(0, COPIES).flatMap((copy, i) => {
    const open = link(copy, key);
    open.append(element("bdi", {}, visible(copy.doc_id)));
    return [i ? ", " : "", open, ` ${copy.start}–${copy.end}`];
  });
  const left = also.length - COPIES;
  return element("p", { class: "place also" }, "also in ", ...parts, left > 0 ? ` and ${left} more` : "");
}

function why(explanation) {
  const { s3, bm25 } = explanation;
  if (!(s3 + bm25 > 0)) {
    return element("p", { class: "quiet small" }, "The beginning or end of a document that was hit.");
  }
  const [ofS3, ofBm25] = percents([s3, bm25]);
  const told = [s3 && `S3 ${ofS3} %`, bm25 && `BM25 ${ofBm25} %`].filter(Boolean).join(" · ");
  const summary = element("summary", {}, bar(s3, bm25), element("span", {}, told));
  const details = element("details", { class: "why" }, summary);
  if (explanation.named) details.append(element("p", { dir: "auto" }, `Named by a better passage: ${explanation.named}`));
  const groups = grouped(explanation.words ?? []).slice(0, ROWS);
  if (!groups.length) details.append(element("p", {}, "No word stands out."));
  else details.append(table(groups));
  return details;
}

function table(groups) {
  const shares = groups.map((one) => one.s3 + one.bm25);
  const numbers = percents(shares);
  const rows = groups.map((one, i) =>
    element(
      "tr",
      {},
      element("td", { class: "num" }, `${numbers[i]} %`),
      element("td", { class: "bars" }, bar(one.s3 / shares[0], one.bm25 / shares[0])),
      element("td", {}, element("bdi", {}, visible(one.word))),
      element("td", {}, element("bdi", {}, visible(one.text)), one.places > 1 ? ` × ${one.places}` : "", ABOVE[one.field] ? `, in ${ABOVE[one.field]}` : ""),
    ),
  );
  const head = ["share", "", "of the question", "met"].map((name) =>
    name ? element("th", { scope: "col" }, name) : element("td", {}),
  );
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}
