// A whole document beside its passages: the strip of its density, its peaks, and its text around a place.

import { call } from "./api.js";
import { element, lit, named, svg, visible } from "./text.js";

const CHUNK = 6000; // characters
const MOST = 14; // chunks kept in the page
const BINS = 360;
const WORTH = 0.15; // of the highest peak's rise, what a peak must have to get a button
const NEAR = 240; // pixels from an end of the text at which more is loaded

const $ = (id) => document.getElementById(id);

export class DocumentPanel {
  constructor() {
    this.text = $("text");
    this.text.addEventListener("scroll", () => this.#scrolled());
    $("strip-box").addEventListener("click", (event) => this.#clicked(event));
    this.abort = null;
    this.working = 0;
    this.onPlace = () => {};
    this.onFilter = () => {};
    this.onError = () => {};
  }

  get isOpen() {
    return !$("document").hidden;
  }

  close() {
    this.abort?.abort();
    this.id = undefined;
    $("document").hidden = true;
  }

  /** Show a document at a place. passages: those of the answer that lie in it. */
  async open({ id, at, question, mode, root, key, passages, version }) {
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    Object.assign(this, { id, passages, root, key, at });
    $("document").hidden = false;
    $("doc-title").replaceChildren(element("bdi", {}, visible(id)));
    $("doc-about").textContent = "Reading…";
    $("strip").replaceChildren();
    $("peaks").replaceChildren();
    this.text.replaceChildren();
    const profile = call(`${root}profile`, { body: { question, doc_id: id, mode, bins: BINS }, signal });
    profile.catch(() => {}); // told below
    await this.#while(async () => {
      await this.show(at ?? { start: 0, end: 0 });
      this.#drawAbout(version);
      this.#drawStrip(await profile);
    });
  }

  /** Say that the panel is busy while something is done. */
  async #while(work) {
    this.working += 1;
    $("document").setAttribute("aria-busy", "true");
    try {
      await work();
    } finally {
      this.working -= 1;
      if (!this.working) $("document").removeAttribute("aria-busy");
    }
  }

  /** Bring a place into view, loading the text around it. */
  async show({ start, end }) {
    this.at = { start, end };
    const [first, last] = [Math.floor(start / CHUNK), Math.floor(Math.max(start, end - 1) / CHUNK)];
    if (!this.chunks || this.loaded !== this.root + this.id || first < this.first || last >= this.first + this.chunks.length) {
      await this.#while(() => this.#load(Math.max(0, first - 1), Math.min(last, first + MOST - 3) + 2));
    } else this.#mark();
    const passage = this.passages.find((one) => one.start === start && one.end === end);
    this.#scrollTo(passage?.explanation?.words?.find((one) => (one.field ?? "text") === "text")?.start ?? start);
  }

  async #read(from, to) {
    const body = { id: this.id, start: from * CHUNK, end: to * CHUNK };
    const found = await call(`${this.root}document`, { body, signal: this.abort.signal });
    const characters = Array.from(found.text);
    const chunks = [];
    for (let i = 0; i < characters.length || !i; i += CHUNK) chunks.push(characters.slice(i, i + CHUNK));
    return [found, chunks];
  }

  async #load(from, to) {
    const [found, chunks] = await this.#read(from, to);
    this.found = found;
    this.length = found.length;
    this.first = from;
    this.chunks = chunks;
    this.loaded = this.root + this.id;
    this.#render();
  }

  #render() {
    const body = element("div", { class: "body", dir: "auto" });
    this.chunks.forEach((characters, i) => body.append(this.#chunk(characters, (this.first + i) * CHUNK)));
    const earlier = this.first > 0 && this.#more("Show earlier text", () => this.#extend(-1));
    const last = (this.first + this.chunks.length) * CHUNK;
    const later = last < this.length && this.#more("Show later text", () => this.#extend(1));
    this.text.replaceChildren(...[earlier, body, later].filter(Boolean));
    if (!this.length) body.append(element("span", { class: "quiet" }, "The document is empty."));
    this.#mark();
    this.#where();
  }

  #more(name, load) {
    return element("button", { type: "button", class: "more", onclick: load }, name);
  }

  /** A chunk, its passages set off. */
  #chunk(characters, start) {
    const made = element("span", { class: "chunk", "data-start": start });
    const end = start + characters.length;
    let at = start;
    const add = (to, passage) => {
      if (to <= at) return;
      const part = characters.slice(at - start, to - start);
      if (!passage) made.append(visible(part.join("")));
      else {
        const nodes = lit(part, at, passage.explanation?.words ?? []);
        made.append(element("span", { class: "in", "data-start": passage.start }, nodes));
      }
      at = to;
    };
    for (const passage of this.passages.filter((one) => one.start < end && one.end > start)) {
      add(Math.max(passage.start, start), null);
      add(Math.min(passage.end, end), passage);
    }
    add(end, null);
    return made;
  }

  async #extend(step) {
    if (this.extending) return;
    this.extending = true;
    await this.#while(() => this.#add(step)).finally(() => (this.extending = false));
  }

  async #add(step) {
    try {
      const next = step > 0 ? this.first + this.chunks.length : this.first - 1;
      if (next < 0 || next * CHUNK >= this.length) return;
      const [, [characters]] = await this.#read(next, next + 1);
      const anchor = this.#anchor();
      if (step > 0) this.chunks.push(characters);
      else {
        this.chunks.unshift(characters);
        this.first -= 1;
      }
      if (this.chunks.length > MOST) {
        if (step > 0) {
          this.chunks.shift();
          this.first += 1;
        } else this.chunks.pop();
      }
      const focused = document.activeElement?.classList.contains("more");
      this.#render();
      this.#restore(anchor);
      if (focused) this.text.focus({ preventScroll: true });
    } catch (error) {
      if (error.name !== "AbortError") this.onError(error);
    }
  }

  /** A chunk that stays, and how far it is from the top of what is seen. */
  #anchor() {
    const top = this.text.getBoundingClientRect().top;
    const chunks = [...this.text.querySelectorAll(".chunk")];
    const seen = chunks.find((one) => one.getBoundingClientRect().bottom > top) ?? chunks[0];
    return seen && { start: seen.dataset.start, offset: seen.getBoundingClientRect().top - top };
  }

  #restore(anchor) {
    const chunk = anchor && this.text.querySelector(`.chunk[data-start="${anchor.start}"]`);
    if (!chunk) return;
    const top = this.text.getBoundingClientRect().top;
    this.text.scrollTop += chunk.getBoundingClientRect().top - top - anchor.offset;
  }

  #scrollTo(offset) {
    const box = this.#boxOf(offset);
    if (!box) return;
    const frame = this.text.getBoundingClientRect();
    this.text.scrollTop += box.top - frame.top - frame.height / 3;
    this.#where();
  }

  /** Where a character is on the screen. */
  #boxOf(offset) {
    const known = this.text.querySelector(`mark[data-start="${offset}"], .in[data-start="${offset}"]`);
    if (known) return known.getBoundingClientRect();
    const start = Math.floor(offset / CHUNK) * CHUNK;
    const chunk = this.text.querySelector(`.chunk[data-start="${start}"]`);
    const characters = this.chunks[start / CHUNK - this.first];
    if (!chunk || !characters) return null;
    const box = chunk.getBoundingClientRect();
    const part = (offset - start) / Math.max(1, characters.length);
    return new DOMRect(box.x, box.y + part * box.height, 1, 1);
  }

  /** Mark the passage of the place that was jumped to, and its peak's button. */
  #mark() {
    for (const one of this.text.querySelectorAll(".in")) {
      one.classList.toggle("here", Number(one.dataset.start) === this.at?.start);
    }
    for (const button of $("peaks").querySelectorAll("button")) {
      const isHere = Number(button.dataset.start) >= this.at.start && Number(button.dataset.start) < Math.max(this.at.end, this.at.start + 1);
      if (isHere) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  #scrolled() {
    this.#where();
    const { scrollTop, scrollHeight, clientHeight } = this.text;
    if (scrollTop < NEAR && this.first > 0) this.#extend(-1);
    else if (scrollTop + clientHeight > scrollHeight - NEAR) this.#extend(1);
  }

  /** Show on the strip which part of the document is seen. */
  #where() {
    const frame = this.text.getBoundingClientRect();
    const chunks = [...this.text.querySelectorAll(".chunk")];
    const charAt = (y) => {
      for (const [i, chunk] of chunks.entries()) {
        const box = chunk.getBoundingClientRect();
        if (y <= box.bottom || i === chunks.length - 1) {
          const part = box.height ? Math.min(1, Math.max(0, (y - box.top) / box.height)) : 0;
          return Number(chunk.dataset.start) + part * this.chunks[i].length;
        }
      }
      return 0;
    };
    const [from, to] = [charAt(frame.top), charAt(frame.bottom)].map((at) => (100 * at) / Math.max(1, this.length));
    $("where").style.left = `${from}%`;
    $("where").style.width = `${Math.max(0, to - from)}%`;
  }

  #drawAbout(version) {
    const { title, metadata, length } = this.found;
    if (title) $("doc-title").replaceChildren(element("bdi", {}, visible(title)));
    const parts = title ? [element("bdi", {}, visible(this.id)), " · "] : [];
    parts.push(`${length.toLocaleString("en")} characters`);
    for (const [key, value] of Object.entries(metadata ?? {}).slice(0, 12)) {
      const told = typeof value === "string" ? value : JSON.stringify(value);
      const name = element("bdi", {}, visible(`${key}: ${told.length > 60 ? `${told.slice(0, 59)}…` : told}`));
      const add = () => this.onFilter(key, value);
      parts.push(" · ", element("button", { type: "button", class: "plain", title: "search only documents with this", onclick: add }, name));
    }
    if (version && this.found.version && version !== this.found.version) {
      parts.push(" · the index has changed since the answer; ask again");
    }
    $("doc-about").replaceChildren(...parts);
  }

  #drawStrip(profile) {
    const { starts, ends, density, ranges } = profile;
    const [lowest, highest] = [Math.min(...density), Math.max(...density)];
    const peaks = profile.peaks.filter((peak) => peak.density >= lowest + WORTH * (highest - lowest));
    const sides = ["s3", "bm25"].map((side) => profile[side] ?? density.map(() => 0));
    // Above the lowest place of the document, which shows more than above that of the corpus.
    const floors = sides.map((side, i) => (side.length > 1 ? Math.min(...side) : ranges[["s3", "bm25"][i]]?.[0] ?? 0));
    const tall = sides.map((side, i) => side.map((value) => Math.max(0, value - floors[i])));
    const most = Math.max(...density.map((_, i) => tall[0][i] + tall[1][i]), 1e-9);
    const bars = [];
    starts.forEach((start, i) => {
      const x = (1000 * start) / this.length;
      const width = Math.max(0.5, (1000 * (ends[i] - start)) / this.length);
      const [low, high] = tall.map((side) => (96 * side[i]) / most);
      if (low) bars.push(svg("rect", { class: "s3", x, y: 100 - low, width, height: low }));
      if (high) bars.push(svg("rect", { class: "bm25", x, y: 100 - low - high, width, height: high }));
    });
    $("strip").replaceChildren(...bars);
    const best = peaks[0];
    const told = best ? `Density of ${named(this.id)}: highest at characters ${best.start} to ${best.end} of ${this.length}` : "No text";
    $("strip").setAttribute("aria-label", told);
    const jump = (peak) => {
      const passage = this.passages.find((one) => one.start < peak.end && one.end > peak.start);
      this.onPlace(passage ?? peak);
    };
    $("peaks").replaceChildren(
      ...peaks.map((peak, i) => {
        const far = Math.round((100 * peak.start) / Math.max(1, this.length));
        const label = `Peak ${i + 1}: characters ${peak.start} to ${peak.end}, ${far} % into the document`;
        const button = element("button", { type: "button", "data-start": peak.start, "aria-label": label, title: label, onclick: () => jump(peak) }, `${i + 1}`);
        return element("li", {}, button);
      }),
    );
    $("peaks").parentElement.hidden = !peaks.length;
    this.#mark();
  }

  #clicked(event) {
    if (!this.length) return;
    const box = $("strip-box").getBoundingClientRect();
    const at = Math.floor(Math.min(0.9999, Math.max(0, (event.clientX - box.left) / box.width)) * this.length);
    this.show({ start: at, end: at + 1 }).catch(this.onError);
  }
}
