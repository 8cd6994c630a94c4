// The filter: rows of key, operator and value, or JSON.

import { element } from "./text.js";

const OPERATORS = {
  eq: "is", ne: "is not", gt: "above", gte: "at least", lt: "below", lte: "at most", in: "is one of", nin: "is none of",
  contains: "list has", any: "list has one of", all: "list has all of", text_match: "text has",
  text_match_insensitive: "text has, any case", is_empty: "is empty",
};
const LISTS = new Set(["in", "nin", "any", "all"]);
const TREE = [["key", "op", "value"], ["all"], ["any"], ["not"]];

const $ = (id) => document.getElementById(id);

export class Mistake extends Error {}

export class FilterForm {
  constructor() {
    $("filter-toggle").addEventListener("click", () => this.open($("filter").hidden));
    $("add-row").addEventListener("click", () => this.add().querySelector("input").focus());
    $("as-json").addEventListener("change", () => this.#switched());
    $("filter").addEventListener("input", () => this.#count());
  }

  open(isOpen) {
    $("filter").hidden = !isOpen;
    $("filter-toggle").setAttribute("aria-expanded", String(isOpen));
    if (isOpen && !$("rows").children.length) this.add();
  }

  add({ key = "", op = "eq", value } = {}) {
    const number = $("rows").children.length + 1;
    const name = (what) => `${what} of condition ${number}`;
    const options = Object.entries(OPERATORS).map(([id, told]) => element("option", { value: id, selected: id === op }, told));
    const remove = element("button", { type: "button", class: "remove", "aria-label": `Remove condition ${number}` }, "Remove");
    const row = element(
      "div",
      { class: "row", role: "group", "aria-label": `Condition ${number}` },
      element("input", { class: "key", "aria-label": name("Key"), placeholder: "key", value: key, spellcheck: "false", autocomplete: "off" }),
      element("select", { class: "op", "aria-label": name("Operator") }, ...options),
      element("input", { class: "value", "aria-label": name("Value"), placeholder: "value", value: written(value, op), spellcheck: "false", autocomplete: "off" }),
      remove,
    );
    remove.addEventListener("click", () => {
      row.remove();
      this.#count();
      $("add-row").focus();
    });
    $("rows").append(row);
    this.#count();
    return row;
  }

  /** What a request takes: {}, {where} or {filter}. */
  read() {
    if ($("as-json").checked) {
      const text = $("json").value.trim();
      if (!text) return {};
      let value;
      try {
        value = JSON.parse(text);
      } catch (error) {
        throw new Mistake(`The filter is no JSON: ${error.message}`);
      }
      const isTree = value && TREE.some((keys) => keys.every((key) => key in value || key === "value") && Object.keys(value).every((key) => keys.includes(key)));
      return isTree ? { filter: value } : { where: value };
    }
    const rows = this.#rows();
    if (!rows.length) return {};
    return { filter: rows.length > 1 ? { all: rows } : rows[0] };
  }

  /** Show what `read` returned. */
  write({ where, filter } = {}) {
    $("rows").replaceChildren();
    const all = filter?.all ?? (filter ? [filter] : []);
    const asRows = all.every((one) => one && "key" in one);
    $("as-json").checked = where !== undefined || !asRows;
    $("json").value = $("as-json").checked ? JSON.stringify(where ?? filter) : "";
    if (asRows) for (const one of all) this.add(one);
    this.#switched();
    this.open(where !== undefined || filter !== undefined);
  }

  #rows() {
    const rows = [];
    for (const row of $("rows").children) {
      const [key, op, value] = ["key", "op", "value"].map((name) => row.querySelector(`.${name}`).value);
      if (!key) continue;
      rows.push(op === "is_empty" ? { key, op } : { key, op, value: parsed(value, op) });
    }
    return rows;
  }

  #switched() {
    const isJson = $("as-json").checked;
    if (isJson && !$("json").value && this.#rows().length) {
      const rows = this.#rows();
      $("json").value = JSON.stringify(rows.length > 1 ? { all: rows } : rows[0]);
    }
    $("json-box").hidden = !isJson;
    $("rows").hidden = isJson;
    $("add-row").hidden = isJson;
    this.#count();
  }

  #count() {
    const amount = $("as-json").checked ? Number(Boolean($("json").value.trim())) : this.#rows().length;
    $("filter-count").textContent = amount ? ` (${amount})` : "";
  }
}

/** A number, true, false, null, a list or a text in quotes as JSON has it; anything else is a text. */
function parsed(text, op) {
  let value = text;
  try {
    value = JSON.parse(text);
  } catch {
    // a text
  }
  if (LISTS.has(op) && !Array.isArray(value)) return text.split(",").map((one) => parsed(one.trim(), "eq"));
  return value;
}

function written(value, op) {
  if (value === undefined) return "";
  if (typeof value !== "string") return JSON.stringify(value);
  return parsed(value, op) === value ? value : JSON.stringify(value);
}
