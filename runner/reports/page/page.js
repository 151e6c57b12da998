"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const ROW = 46, KEPT = 64, MOST_CHARS = 20000, MOST_WORDS = 4000;
  const WORDS = ["right", "wrong", "partly", "measured", "unreadable", "unanswered", "no_reference", "skipped"];
  const SIGNS = ["✓", "✕", "½", "·", "?", "–", "∅", "○"];
  const ABSENT = 255;
  const meta = JSON.parse($("meta").textContent);

  // Every text enters the page here, as text.
  const make = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined && text !== null) made.textContent = text;
    return made;
  };
  const option = (value, text) => {
    const made = make("option", "", text);
    made.value = value;
    return made;
  };

  // --- theme, keys and help: for pages without rows as well
  const isDark = () => {
    const said = document.documentElement.dataset.theme;
    return said ? said === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const turn = () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; };
  const help = $("help");
  const showHelp = () => { if (help.open) help.close(); else help.showModal(); };
  $("theme").hidden = $("keys").hidden = false;
  $("theme").addEventListener("click", turn);
  $("keys").addEventListener("click", showHelp);
  const keys = { t: turn, "?": showHelp };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inField = event.target.closest("input, select, textarea");
    if (inField) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (help.open && event.key !== "?") return;
    const action = keys[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  });

  // --- unpacking
  const unpack = async (id) => {
    const coded = atob($(id).textContent);
    const bytes = new Uint8Array(coded.length);
    for (let at = 0; at < coded.length; at++) bytes[at] = coded.charCodeAt(at);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  class Job {
    constructor(number, about) {
      Object.assign(this, about);
      this.number = number;
      this.blocks = new Map(); // the last ones used, as lines
    }

    async open() {
      if (this.codes) return;
      const bytes = await unpack(`s${this.number}`);
      let at = 0;
      const next = () => bytes.subarray(at, (at += this.rows));
      this.codes = this.cells.map(() => this.checks.map(next));
      this.parts = this.slices.map(next);
      const view = new DataView(bytes.buffer, bytes.byteOffset + at);
      this.line = (row) => view.getUint32(row * 4, true);
    }

    blockOf(row) {
      let low = 0, high = this.starts.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (this.starts[middle] <= row) low = middle; else high = middle - 1;
      }
      return low;
    }

    async lines(block) {
      let found = this.blocks.get(block);
      if (found) this.blocks.delete(block);
      else found = unpack(`b${this.number}-${block}`).then((bytes) => new TextDecoder().decode(bytes).split("\n"));
      this.blocks.set(block, found);
      if (this.blocks.size > KEPT) this.blocks.delete(this.blocks.keys().next().value);
      return found;
    }

    async row(row) {
      if (row >= this.texts) return null;
      const block = this.blockOf(row);
      const [id, columns, answers] = JSON.parse((await this.lines(block))[row - this.starts[block]]);
      return { id, columns, answers };
    }
  }

  const jobs = meta.map((about, number) => new Job(number, about));
  if (!jobs.some((job) => job.rows)) return;

  // --- what is looked at
  const state = { job: 0, filter: "wrong", check: 0, slice: "", value: "", q: "", row: -1, a: 1, b: 2, marks: false };
  let job = jobs[0], found = new Uint32Array(0), place = -1, turnNumber = 0;
  const list = $("list"), space = $("space"), detail = $("detail");

  const FILTERS = [
    ["wrong", () => "Wrong somewhere"],
    ["differ", () => "Outcomes differ"],
    ["first", () => `${state.a} right, ${state.b} wrong`],
    ["second", () => `${state.a} wrong, ${state.b} right`],
    ["unreadable", () => "Not readable somewhere"],
    ["unanswered", () => "No answer somewhere"],
    ["all", () => "Every row"],
  ];
  const needsTwo = (name) => name === "differ" || name === "first" || name === "second";
  const filters = () => FILTERS.filter(([name]) => job.cells.length > 1 || !needsTwo(name));

  const test = () => {
    const columns = job.cells.map((_, cell) => job.codes[cell][state.check]).filter(Boolean);
    if (!columns.length) return () => true;
    const bad = new Set(job.checks[state.check].wrong.map((word) => WORDS.indexOf(word)));
    const [one, other] = [columns[state.a - 1], columns[state.b - 1]];
    const isBad = new Set([1, 2, 4, 5]);
    switch (state.filter) {
      case "wrong": return (row) => columns.some((codes) => isBad.has(codes[row]));
      case "differ": return (row) => columns.some((codes) => codes[row] !== columns[0][row]);
      case "first": return (row) => one[row] === 0 && bad.has(other[row]);
      case "second": return (row) => other[row] === 0 && bad.has(one[row]);
      case "unreadable": return (row) => columns.some((codes) => codes[row] === 4);
      case "unanswered": return (row) => columns.some((codes) => codes[row] === 5);
      default: return () => true;
    }
  };

  // What is wrong, where anything is: an empty list is no beginning.
  const usual = () => {
    if (!job.checks.length) return "all";
    state.filter = "wrong";
    const passes = test();
    for (let row = 0; row < job.rows; row++) if (passes(row)) return "wrong";
    return "all";
  };

  const inSlice = () => {
    const number = job.slices.findIndex((slice) => slice.name === state.slice);
    if (number < 0) return () => true;
    const value = job.slices[number].values.indexOf(state.value), codes = job.parts[number];
    return value < 0 ? (row) => codes[row] === 254 : (row) => codes[row] === value;
  };

  const matches = (query) => {
    const folded = query.toLowerCase();
    const quoted = JSON.stringify(folded).slice(1, -1);
    const inTexts = (value) => {
      if (typeof value === "string") return value.toLowerCase().includes(folded);
      return Array.isArray(value) && value.some(inTexts);
    };
    // A look at the packed line first; only where that hits is it taken apart.
    return (line) => line.toLowerCase().includes(quoted) && inTexts(JSON.parse(line));
  };

  const search = async (rows, query, mine) => {
    const hits = [], match = matches(query);
    let block = -1, lines = [];
    for (const row of rows) {
      if (row >= job.texts) break;
      const wanted = job.blockOf(row);
      if (wanted !== block) {
        lines = await job.lines((block = wanted));
        if (mine !== turnNumber) return null;
      }
      if (match(lines[row - job.starts[block]])) hits.push(row);
    }
    return Uint32Array.from(hits);
  };

  const pick = async ({ keepRow = true } = {}) => {
    const mine = ++turnNumber;
    await job.open();
    const passes = test(), inside = inSlice(), rows = [];
    for (let row = 0; row < job.rows; row++) if (passes(row) && inside(row)) rows.push(row);
    let chosen = Uint32Array.from(rows);
    if (state.q) {
      $("found").value = "searching …";
      chosen = await search(chosen, state.q, mine);
    }
    if (chosen === null || mine !== turnNumber) return;
    found = chosen;
    $("found").value = `${found.length.toLocaleString("en")} of ${job.rows.toLocaleString("en")} rows`;
    space.style.height = `${found.length * ROW}px`;
    const at = keepRow ? found.indexOf(state.row) : -1;
    list.scrollTop = 0;
    await go(at >= 0 ? at : found.length ? 0 : -1);
  };

  // --- the list draws what shows
  let drawing = 0;
  const draw = async () => {
    const mine = ++drawing;
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(found.length, first + Math.ceil(list.clientHeight / ROW) + 9);
    const drawn = [];
    for (let at = first; at < last; at++) drawn.push(rowOf(at, await job.row(found[at])));
    if (mine === drawing) space.replaceChildren(...drawn);
  };

  const rowOf = (at, row) => {
    const number = found[at], made = make("div", "row");
    made.id = `row-${at}`;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(at === place));
    made.setAttribute("aria-setsize", String(found.length));
    made.setAttribute("aria-posinset", String(at + 1));
    made.style.top = `${at * ROW}px`;
    const what = make("div", "what");
    what.append(make("div", "id", row ? row.id : `line ${job.line(number).toLocaleString("en")}`));
    what.append(make("div", "first-text", row ? firstText(row).slice(0, 200) : "text not in this page"));
    const signs = make("div", "signs");
    job.cells.forEach((_, cell) => signs.append(sign(code(cell, state.check, number), job.checks[state.check])));
    made.append(what, signs);
    made.addEventListener("click", () => go(at));
    return made;
  };

  const firstText = (row) => {
    const texts = row.columns.filter((text) => text);
    return texts.find((text) => text.length > 20) || texts.find((text) => text !== row.id) || "";
  };
  const code = (cell, check, row) => (job.codes[cell][check] ? job.codes[cell][check][row] : ABSENT);
  const sign = (status, check) => {
    const made = make("i", status === ABSENT ? "" : `s-${WORDS[status]}`, status === ABSENT ? " " : SIGNS[status]);
    if (status !== ABSENT) made.title = check.said[status];
    return made;
  };

  const go = async (at) => {
    place = at;
    state.row = at < 0 ? -1 : found[at];
    if (at >= 0) {
      const top = at * ROW;
      if (top < list.scrollTop) list.scrollTop = top;
      else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    }
    list.setAttribute("aria-activedescendant", at < 0 ? "" : `row-${at}`);
    await Promise.all([draw(), show()]);
    await keep();
  };
  const step = (by) => { if (found.length) go(Math.max(0, Math.min(found.length - 1, place + by))); };

  // --- one row
  let showing = 0;
  const show = async () => {
    const mine = ++showing;
    if (state.row < 0) {
      detail.replaceChildren(make("p", "empty", "No row is like that."));
      return;
    }
    const number = state.row, row = await job.row(number);
    if (mine !== showing) return;
    const head = make("div", "head");
    head.append(make("h3", "", row ? row.id : `line ${job.line(number).toLocaleString("en")}`));
    detail.replaceChildren(head);
    if (!row) {
      const outputs = job.cells.map((cell) => cell.output || cell.address).join(", ");
      detail.append(make("p", "empty", `The text of this row is not in this page: see its line in ${outputs}.`));
      return;
    }
    const columns = make("dl", "columns");
    row.columns.forEach((text, at) => {
      if (text !== null) columns.append(make("dt", "", job.columns[at]), make("dd", "", text.slice(0, MOST_CHARS)));
    });
    job.slices.forEach((slice, at) => {
      const value = slice.values[job.parts[at][number]];
      if (value !== undefined && !job.columns.includes(slice.name)) {
        columns.append(make("dt", "", slice.name), make("dd", "", value));
      }
    });
    const expected = new Set();
    row.answers.forEach((answer) => {
      const one = answer && answer[5][state.check];
      if (one && one[1] !== null) expected.add(one[1]);
    });
    for (const text of expected) columns.append(make("dt", "", "expected"), make("dd", "", text.slice(0, MOST_CHARS)));
    const two = job.cells.length > 1;
    const answers = make("div", two ? "answers" : "answers one");
    const chosen = two ? ["a", "b"] : ["a"];
    const texts = chosen.map((side) => textOf(row.answers[state[side] - 1]));
    const marked = two && state.marks ? differing(texts[0], texts[1]) : null;
    chosen.forEach((side, at) => answers.append(said(side, row, number, texts[at], marked && marked[at])));
    if (two) {
      const button = make("button", "", "words that differ");
      button.type = "button";
      button.id = "marks";
      button.setAttribute("aria-pressed", String(state.marks));
      button.addEventListener("click", mark);
      head.append(button);
    }
    detail.append(columns, answers, from(row, number));
  };

  const textOf = (answer) => (answer ? answer[0] ?? answer[1] ?? "no answer" : "not wanted here");

  const said = (side, row, number, text, marked) => {
    const cell = state[side] - 1, answer = row.answers[cell], made = make("div", `said ${side}`);
    const who = make("div", "who"), select = make("select");
    select.setAttribute("aria-label", side === "a" ? "first answer" : "second answer");
    job.cells.forEach((one, at) => select.append(option(String(at + 1), `${at + 1} ${one.label}`)));
    select.value = String(state[side]);
    select.addEventListener("change", () => choose(side, Number(select.value)));
    who.append(select);
    const body = make("div", answer && answer[0] !== null ? "text" : "text error");
    fill(body, text, marked);
    const held = make("ul", "held");
    if (answer && answer[2] && answer[2] !== "stop") held.append(make("li", "detail", `ended: ${answer[2]}`));
    job.checks.forEach((check, at) => {
      const status = code(cell, at, number);
      if (status === ABSENT) return;
      const [got, expected, score, reason] = (answer && answer[5][at]) || [null, null, null, null];
      const item = make("li");
      item.append(sign(status, check), ` ${check.name}: ${check.said[status]}`);
      const details = [];
      if (got !== null && got.length <= 80 && got !== text.trim()) details.push(got);
      if (at !== state.check && status !== 0 && expected !== null && expected.length <= 80) details.push(`expected ${expected}`);
      if (score !== null && (status === 2 || check.form === "number") && String(score) !== got) details.push(String(score));
      if (details.length) item.append(make("span", "detail", ` (${details.join("; ")})`));
      if (reason !== null) item.append(` — “${reason}”`);
      held.append(item);
    });
    made.append(who, body, held);
    return made;
  };

  const fill = (body, text, marked) => {
    if (marked) {
      for (const [word, differs] of marked) body.append(differs ? make("mark", "", word) : word);
      return;
    }
    body.textContent = text.slice(0, MOST_CHARS);
    if (text.length <= MOST_CHARS) return;
    const more = make("button", "", `show all ${text.length.toLocaleString("en")} characters`);
    more.type = "button";
    more.addEventListener("click", () => { body.textContent = text; });
    body.append(make("br"), more);
  };

  const from = (row, number) => {
    const made = make("details", "from");
    made.append(make("summary", "", "Where this row comes from"));
    made.append(make("p", "", `line ${job.line(number).toLocaleString("en")} of the results`));
    row.answers.forEach((answer, cell) => {
      if (!answer) return;
      const where = make("p", "", `${cell + 1} ${job.cells[cell].address}: `);
      where.append(make("code", "", answer[3] || "no digest"));
      if (answer[4]) where.append(", batch ", make("code", "", answer[4]));
      made.append(where);
    });
    return made;
  };

  // Words of one text that the other lacks: the longest common run of words, after what both begin and end with.
  const differing = (one, other) => {
    const [a, b] = [one, other].map((text) => text.slice(0, MOST_CHARS).match(/\s+|[^\s]+/g) || []);
    const isWord = (word) => /\S/.test(word);
    let start = 0, end = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start++;
    while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
    const [x, y] = [a, b].map((words) => words.slice(start, words.length - end).map((word, at) => [word, at]).filter(([word]) => isWord(word)));
    const common = x.length * y.length <= MOST_WORDS * 1000 ? shared(x, y) : [new Set(), new Set()];
    return [[a, common[0]], [b, common[1]]].map(([words, kept]) =>
      words.map((word, at) => {
        const inside = at >= start && at < words.length - end;
        return [word, inside && isWord(word) && !kept.has(at - start)];
      }));
  };
  const shared = (x, y) => {
    const width = y.length + 1, table = new Uint16Array((x.length + 1) * width);
    for (let i = x.length - 1; i >= 0; i--) {
      for (let j = y.length - 1; j >= 0; j--) {
        table[i * width + j] = x[i][0] === y[j][0]
          ? table[(i + 1) * width + j + 1] + 1
          : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
      }
    }
    const kept = [new Set(), new Set()];
    for (let i = 0, j = 0; i < x.length && j < y.length;) {
      if (x[i][0] === y[j][0]) {
        kept[0].add(x[i++][1]);
        kept[1].add(y[j++][1]);
      } else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i++;
      else j++;
    }
    return kept;
  };

  // --- what may be changed
  const choose = (side, number) => {
    state[side] = number;
    labels();
    if (state.filter === "first" || state.filter === "second") return pick();
    return go(place);
  };
  const another = (by) => {
    const cells = job.cells.length;
    if (cells < 2) return;
    let next = state.b;
    do next = (next - 1 + by + cells) % cells + 1; while (next === state.a);
    choose("b", next);
  };
  const mark = () => {
    state.marks = !state.marks;
    return show().then(keep);
  };
  const nextFilter = () => {
    const names = filters().map(([name]) => name);
    state.filter = names[(names.indexOf(state.filter) + 1) % names.length];
    $("filter").value = state.filter;
    pick();
  };

  const labels = () => {
    $("filter").replaceChildren(...filters().map(([name, words]) => option(name, words())));
    $("filter").value = state.filter;
  };
  const controls = () => {
    $("job").replaceChildren(...jobs.filter((one) => one.rows).map((one) => option(String(one.number), one.name)));
    $("job").value = String(state.job);
    labels();
    $("check").replaceChildren(...job.checks.map((check, at) => option(String(at), check.name)));
    $("check").hidden = !job.checks.length;
    $("check").value = String(state.check);
    const slices = [option("", "every slice")];
    job.slices.forEach((slice, at) => {
      slice.values.forEach((value, number) => slices.push(option(`${at}:${number}`, `${slice.name} = ${value}`)));
    });
    $("slice").replaceChildren(...slices);
    $("slice").hidden = slices.length === 1;
    const at = job.slices.findIndex((slice) => slice.name === state.slice);
    $("slice").value = at < 0 ? "" : `${at}:${job.slices[at].values.indexOf(state.value)}`;
    $("search").value = state.q;
    const heads = make("div", "signs");
    job.cells.forEach((cell, number) => {
      const head = make("i", "", String(number + 1));
      head.title = cell.label;
      heads.append(head);
    });
    $("heads").replaceChildren(make("div", "what", "row"), heads);
  };

  // --- the address of the page holds all of it, so that a link shows a row
  const read = async () => {
    const said = new URLSearchParams(location.hash.slice(1));
    const named = jobs.findIndex((one) => one.rows && one.name === said.get("job"));
    state.job = named >= 0 ? named : jobs.findIndex((one) => one.rows);
    job = jobs[state.job];
    await job.open();
    const within = (text, most, usual) => (/^[1-9]\d*$/.test(text || "") && Number(text) <= most ? Number(text) : usual);
    state.a = within(said.get("a"), job.cells.length, 1);
    state.b = within(said.get("b"), job.cells.length, Math.min(2, job.cells.length));
    state.check = Math.max(0, job.checks.findIndex((check) => check.name === said.get("check")));
    state.filter = filters().some(([name]) => name === said.get("filter")) ? said.get("filter") : usual();
    state.slice = said.get("slice") || "";
    state.value = said.get("value") || "";
    state.q = said.get("q") || "";
    state.marks = said.get("marks") === "1";
    state.row = -1;
    const line = Number(said.get("row"));
    if (line) for (let row = 0; row < job.rows; row++) if (job.line(row) === line) { state.row = row; break; }
    controls();
    await pick();
  };

  let kept = "";
  const keep = async () => {
    const said = new URLSearchParams();
    if (jobs.length > 1) said.set("job", job.name);
    said.set("filter", state.filter);
    if (job.checks.length) said.set("check", job.checks[state.check].name);
    if (state.slice) { said.set("slice", state.slice); said.set("value", state.value); }
    if (state.q) said.set("q", state.q);
    if (job.cells.length > 1) { said.set("a", state.a); said.set("b", state.b); }
    if (state.marks) said.set("marks", "1");
    if (state.row >= 0) said.set("row", job.line(state.row));
    kept = `#${said}`;
    if (location.hash !== kept && isOurs) history.replaceState(null, "", kept);
  };
  let isOurs = location.hash.length > 1; // until somebody touches the rows, the address stays as it was given
  const touched = () => { isOurs = true; };

  const reset = async (changes) => {
    touched();
    Object.assign(state, changes);
    controls();
    await pick();
  };
  $("job").addEventListener("change", async () => {
    touched();
    job = jobs[Number($("job").value)];
    await job.open();
    Object.assign(state, { job: job.number, check: 0, slice: "", value: "", row: -1, a: 1, b: Math.min(2, job.cells.length) });
    await reset({ filter: usual() });
  });
  $("filter").addEventListener("change", () => reset({ filter: $("filter").value }));
  $("check").addEventListener("change", () => reset({ check: Number($("check").value) }));
  $("slice").addEventListener("change", () => {
    const [at, number] = $("slice").value.split(":").map(Number);
    const slice = $("slice").value ? job.slices[at] : null;
    reset({ slice: slice ? slice.name : "", value: slice ? slice.values[number] : "" });
  });
  let waiting = 0;
  $("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { touched(); state.q = $("search").value; pick(); }, 120);
  });
  list.addEventListener("scroll", draw, { passive: true });
  list.addEventListener("pointerdown", touched);
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    touched();
    step(by);
  });
  for (const button of document.querySelectorAll("button.show")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const said = button.dataset;
      job = jobs[Number(said.job)];
      await job.open();
      const check = Math.max(0, job.checks.findIndex((one) => one.name === said.check));
      await reset({
        job: job.number, check, filter: said.filter, slice: said.slice || "", value: said.value || "", q: "", row: -1,
        a: Number(said.a || 1), b: Number(said.b || Math.min(2, job.cells.length)),
      });
      $("rows").scrollIntoView();
    });
  }
  addEventListener("hashchange", () => { if (location.hash !== kept) { touched(); read(); } });
  addEventListener("resize", draw);
  Object.assign(keys, {
    j: () => { touched(); step(1); },
    k: () => { touched(); step(-1); },
    f: () => { touched(); nextFilter(); },
    "/": () => { $("search").focus(); $("rows").scrollIntoView(); },
    "[": () => { touched(); another(-1); },
    "]": () => { touched(); another(1); },
    d: () => { touched(); mark(); },
  });
  $("rows").hidden = false;
  read();
})();
