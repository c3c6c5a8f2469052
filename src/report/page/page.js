
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const GARBAGE = "!garbage";
/** In pixels: a smaller tile cannot be hit. */
const LEAST = 600;

/** An element with text; names from the registry are never anything else. */
function element(name, text, classes) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (classes) made.className = classes;
  return made;
}

/** Bytes as Docker writes them: decimal units, at most four digits. */
function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (bytes >= 999.95 && unit + 1 < units.length) {
    bytes /= 1000;
    unit += 1;
  }
  const decimals = unit === 0 ? 0 : bytes < 9.9995 ? 3 : bytes < 99.995 ? 2 : 1;
  return String(Number(bytes.toFixed(decimals))) + units[unit];
}

function count(number, noun) {
  const many = noun.endsWith("y") ? noun.slice(0, -1) + "ies" : noun + "s";
  return `${number.toLocaleString("en")} ${number === 1 ? noun : many}`;
}

const sum = (list, of) => list.reduce((all, one) => all + of(one), 0);

function hue(name) {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) % 9973;
  return [255, 205, 300, 160, 350, 280, 230, 325][hash % 8];
}

/* What is shown of a place: tiles for the map and rows for the table. */

function registry() {
  const tiles = data.repositories.map((of) => ({
    name: of.name,
    bytes: of.unique,
    hue: hue(of.name),
    open: of.name,
    tip: `${count(of.tags, "tag")}\n${size(of.size)}, of which ${size(of.unique)} only it needs`,
  }));
  const more = data.more;
  if (more.count) tiles.push({ name: count(more.count, "more repository"), bytes: more.unique, kind: "more" });
  tiles.push({
    name: "shared between repositories",
    bytes: data.shared,
    kind: "shared",
    tip: "Stays as long as one of the repositories that need it",
  });
  tiles.push({
    name: "garbage",
    bytes: sum(data.garbage, (of) => of.bytes || 0),
    kind: "garbage",
    open: GARBAGE,
    tip: "Nothing that is in use needs it",
  });
  const rows = data.repositories.map((of) =>
    [{ text: of.name, open: of.name }, of.tags.toLocaleString("en"), size(of.size), size(of.size - of.unique), size(of.unique)]);
  const head = ["Repository", "Tags", "Size", "Shared", "Unique"];
  return { crumbs: [], tiles, head, rows, more: more.count && count(more.count, "smaller repository"), about:
    `${count(data.repositories.length + more.count, "repository")}; a tile is as large as what only that repository needs` };
}

function garbage() {
  const known = data.garbage.filter((of) => of.total !== null);
  const tiles = known.map((of) => ({ name: of.kind, bytes: of.bytes, kind: "garbage", tip: count(of.total, "item") }));
  const shown = (value, as) => (value === null ? "–" : as(value));
  const rows = data.garbage.map((of) =>
    [of.kind, shown(of.total, (n) => n.toLocaleString("en")), shown(of.size, size), shown(of.reclaimable, size)]);
  const hidden = known.length < data.garbage.length ? "; the registry's API does not show the rest" : "";
  const about = (data.certain
    ? "Nothing that is in use needs it; docker registry prune removes what is not too young"
    : "Not everything could be read: what was not may need some of it") + hidden;
  return { crumbs: [["garbage", GARBAGE]], tiles, head: ["Kind", "Total", "Size", "Reclaimable"], rows, about };
}

function repository(of) {
  const open = (image) => `${of.name}:${image.tags[0]}`;
  const tiles = of.images.map((image) => ({
    name: image.tags.join(", "),
    bytes: image.unique,
    hue: hue(of.name),
    open: open(image),
    tip: `${size(image.size)}, of which ${size(image.unique)} nothing else needs\n${image.digest}${dates(image)}`,
  }));
  if (of.more.count) tiles.push({ name: count(of.more.count, "more image"), bytes: of.more.unique, kind: "more" });
  tiles.push({
    name: "shared between its tags",
    bytes: of.inner,
    hue: hue(of.name),
    kind: "shared",
    tip: `Several tags of ${of.name} need it, and nothing else does`,
  });
  tiles.push({
    name: "shared with other repositories",
    bytes: of.size - of.unique,
    kind: "shared",
    tip: `Stays when ${of.name} is removed`,
  });
  const rows = of.images.map((image) =>
    [{ text: image.tags.join(", "), open: open(image) }, image.created || "–", image.pushed || "–", size(image.size),
      size(image.size - image.unique), size(image.unique)]);
  const head = ["Tags", "Created", "Pushed", "Size", "Shared", "Unique"];
  return { crumbs: [[of.name, of.name]], tiles, head, rows, more: of.more.count && count(of.more.count, "more image"), about:
    `${count(of.tags, "tag")}, ${size(of.size)}; removing all of them frees ${size(of.unique)}` };
}

function image(of, image) {
  const layers = image.layers.map((place) => {
    const [digest, bytes, role, tags] = data.contents[place];
    return { digest, bytes, role, others: tags - image.tags.length };
  });
  const withWhom = (layer) => (layer.others > 0 ? `shared with ${count(layer.others, "tag")}` : "only here");
  const tiles = layers.map((layer) => ({
    name: layer.role,
    bytes: layer.bytes,
    hue: hue(of.name),
    kind: layer.others > 0 ? "shared" : undefined,
    tip: `${layer.digest}\n${withWhom(layer)}`,
    more: layer.others > 0 ? withWhom(layer) : undefined,
  }));
  if (image.more.count) tiles.push({ name: count(image.more.count, "more blob"), bytes: image.more.bytes, kind: "more" });
  const rows = layers.map((layer) => [layer.digest, layer.role, withWhom(layer), size(layer.bytes)]);
  const name = `${of.name}:${image.tags[0]}`;
  return { crumbs: [[of.name, of.name], [image.tags.join(", "), name]], tiles, head: ["Digest", "Role", "Needed", "Size"], rows,
    more: image.more.count && count(image.more.count, "smaller blob"), about:
    `${size(image.size)}; removing it frees ${size(image.unique)}${dates(image)}` };
}

function dates(image) {
  return (image.created ? `\nCreated ${image.created}` : "") + (image.pushed ? `\nPushed ${image.pushed}` : "");
}

function place(name) {
  if (name === GARBAGE) return garbage();
  const colon = name.indexOf(":");
  const of = data.repositories.find((one) => one.name === (colon < 0 ? name : name.slice(0, colon)));
  if (!of) return registry();
  const found = colon >= 0 && of.images.find((one) => one.tags.includes(name.slice(colon + 1)));
  return found ? image(of, found) : repository(of);
}

/* The map: squarified, as Bruls, Huizing and van Wijk describe it. */

function squarify(tiles, box) {
  const all = sum(tiles, (tile) => tile.bytes);
  const scale = (box.width * box.height) / all;
  const placed = [];
  let { left, top, width, height } = box;
  let row = [];
  const worst = (row, side) => {
    const areas = row.map((tile) => tile.bytes * scale);
    const whole = sum(areas, (area) => area);
    const square = (side * side) / (whole * whole);
    return Math.max(square * Math.max(...areas), 1 / (square * Math.min(...areas)));
  };
  const settle = () => {
    const whole = sum(row, (tile) => tile.bytes * scale);
    const isWide = width >= height;
    const depth = whole / (isWide ? height : width);
    let along = isWide ? top : left;
    for (const tile of row) {
      const length = (tile.bytes * scale) / depth;
      placed.push(isWide
        ? { tile, left, top: along, width: depth, height: length }
        : { tile, left: along, top, width: length, height: depth });
      along += length;
    }
    if (isWide) { left += depth; width -= depth; } else { top += depth; height -= depth; }
    row = [];
  };
  for (const tile of tiles) {
    const side = Math.min(width, height);
    if (row.length && worst([...row, tile], side) > worst(row, side)) settle();
    row.push(tile);
  }
  if (row.length) settle();
  return placed;
}

/** The largest first; those too small to be hit become one. */
function gathered(tiles, area) {
  const seen = tiles.filter((tile) => tile.bytes > 0).sort((one, other) => other.bytes - one.bytes);
  const least = (sum(seen, (tile) => tile.bytes) * LEAST) / area;
  const small = seen.filter((tile) => tile.bytes < least);
  if (small.length < 2) return seen;
  const bytes = Math.max(sum(small, (tile) => tile.bytes), least * 3);
  const tip = `${size(sum(small, (tile) => tile.bytes))}, in the table below`;
  const more = { name: `${small.length.toLocaleString("en")} more`, bytes, kind: "more", tip, isGathered: true };
  return [...seen.filter((tile) => tile.bytes >= least), more].sort((one, other) => other.bytes - one.bytes);
}

function draw(tiles) {
  const map = at("map");
  const box = { left: 0, top: 0, width: map.clientWidth, height: map.clientHeight };
  map.replaceChildren();
  for (const { tile, left, top, width, height } of squarify(gathered(tiles, box.width * box.height), box)) {
    const canOpen = tile.open !== undefined || tile.isGathered;
    const made = element(canOpen ? "button" : "div", undefined, `tile ${tile.kind || ""}`);
    if (canOpen) made.type = "button"; else made.tabIndex = 0;
    const shown = tile.isGathered ? "" : size(tile.bytes);
    made.append(element("b", tile.name), element("span", shown));
    if (tile.more) made.append(element("span", tile.more));
    made.classList.toggle("tiny", width < 44 || height < 26);
    made.classList.toggle("short", height < 42);
    made.classList.toggle("low", height < 90);
    made.setAttribute("aria-label", [tile.name, shown, tile.tip].filter(Boolean).join(", "));
    const style = made.style;
    if (tile.hue !== undefined) style.setProperty("--hue", tile.hue);
    for (const [key, value] of Object.entries({ left: left + 1, top: top + 1, width: Math.max(width - 2, 1), height: Math.max(height - 2, 1) }))
      style.setProperty(key, `${value}px`);
    const tip = [tile.name, shown, tile.tip].filter(Boolean).join("\n");
    made.addEventListener("pointermove", (event) => point(tip, event.clientX, event.clientY));
    made.addEventListener("pointerleave", () => { at("tip").hidden = true; });
    made.addEventListener("focus", () => {
      const where = made.getBoundingClientRect();
      if (made.matches(":focus-visible")) point(tip, where.left + where.width / 2, where.top + where.height / 2);
    });
    made.addEventListener("blur", () => { at("tip").hidden = true; });
    if (tile.open !== undefined) made.addEventListener("click", () => { location.hash = tile.open; });
    else if (tile.isGathered) made.addEventListener("click", () => at("table").focus());
    map.append(made);
  }
}

function point(text, x, y) {
  const tip = at("tip");
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 4))}px`;
  tip.style.top = `${Math.max(4, y + 18 + height > innerHeight ? y - height - 10 : y + 18)}px`;
}

function link(text, open) {
  const made = element("a", text);
  made.href = `#${open}`;
  return made;
}

function list(head, rows) {
  const line = (cells, name) => {
    const made = element("tr");
    for (const cell of cells) {
      const one = element(name, cell.open === undefined ? cell : undefined);
      if (cell.open !== undefined) one.append(link(cell.text, cell.open));
      made.append(one);
    }
    return made;
  };
  at("table").tHead.replaceChildren(line(head, "th"));
  at("table").tBodies[0].replaceChildren(...rows.map((row) => line(row, "td")));
}

function legend(tiles) {
  const kinds = [["shared", "needed elsewhere too"], ["garbage", "garbage"], ["more", "too small for a tile"]];
  const met = kinds.filter(([kind]) => tiles.some((tile) => tile.kind === kind && tile.bytes > 0));
  at("legend").replaceChildren(...met.map(([kind, text]) => {
    const made = element("li");
    made.append(element("i", undefined, `tile ${kind}`), text);
    return made;
  }));
}

function here() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

let shown;

function show() {
  shown = place(here());
  const crumbs = [[data.registry, ""], ...shown.crumbs];
  at("crumbs").replaceChildren(...crumbs.map(([text, open], number) => {
    const made = element("li");
    const isLast = number === crumbs.length - 1;
    made.append(isLast ? element("span", text) : link(text, open));
    if (isLast) made.setAttribute("aria-current", "page");
    return made;
  }));
  at("summary").textContent = shown.about.replaceAll("\n", " · ");
  at("tip").hidden = true;
  at("note").textContent = shown.more ? `Not in this page: ${shown.more}.` : "";
  document.title = `${crumbs[crumbs.length - 1][0]} · docker registry df`;
  list(shown.head, shown.rows);
  draw(shown.tiles);
  legend(shown.tiles);
}

function back() {
  const above = shown.crumbs[shown.crumbs.length - 2];
  if (shown.crumbs.length) location.hash = above ? above[1] : "";
}

addEventListener("hashchange", () => {
  show();
  at("map").querySelector(".tile")?.focus({ preventScroll: true });
});
addEventListener("resize", () => draw(shown.tiles));
addEventListener("keydown", (event) => {
  if (event.key === "Backspace" && !event.altKey && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    back();
  }
});

at("registry").textContent = data.registry;
at("totals").append(...data.totals.map(([name, value]) => {
  const made = element("div");
  made.append(element("dt", name), element("dd", value === null ? "–" : size(value)));
  return made;
}));
show();
