// Explore: parallel coordinates of all configurations and their learning curves, linked to the leaderboard.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("explore-data").textContent);
  const find = (id) => document.getElementById(id);
  const rows = new Map([...document.querySelectorAll("#leaderboard tr[data-row]")].map((row) => [Number(row.dataset.row), row]));
  const MISSING = -0.13; // where a line crosses an axis on which it has no value: below it
  const state = { group: find("group").value, brushes: {}, held: null, lit: null };
  let items = [];
  let axes = [];
  let draw = { parallel: [], curves: [] };

  const element = (name, attributes = {}, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const short = (text, length) => (text.length > length ? text.slice(0, length - 1) + "…" : text);
  const plain = (number) => {
    if (number === 0 || (Math.abs(number) >= 0.01 && Math.abs(number) < 10000)) return String(Number(number.toPrecision(3)));
    return number.toExponential().replace("e+", "e");
  };
  const metric = (value) => (value === null ? "–" : data.percent ? `${(100 * value).toFixed(2)} %` : plain(value));

  // items: what one line is, a configuration or (coloured by seed) one seed of it
  function makeItems() {
    const bySeed = state.group === "seed";
    axes = data.axes.map((axis) => ({ ...axis }));
    items = data.configurations.flatMap((one) => {
      if (!bySeed) return [{ one, values: one.values, curve: one.mean, name: one.label, diverged: one.diverged }];
      return one.seeds.map((seed) => ({
        one, seed, curve: seed.curve, diverged: seed.diverged, name: `${one.label} · seed ${seed.seed}`,
        values: [...one.values.slice(0, -1), seed.seed, seed.score],
      }));
    });
    if (bySeed) axes.splice(-1, 0, { label: "seed" });
    axes.forEach((axis, a) => scaleOf(axis, items.map((item) => item.values[a])));
    colour();
  }

  function scaleOf(axis, values) {
    const known = values.filter((value) => value !== null);
    if (axis.names) {
      const n = axis.names.length;
      axis.place = (value) => (n > 1 ? 1 - value / (n - 1) : 0.5);
      axis.stops = axis.names.map((name, i) => ({ value: i, text: name }));
      return;
    }
    const warp = axis.log ? Math.log10 : (value) => value;
    const low = warp(Math.min(...known)), high = warp(Math.max(...known));
    axis.place = (value) => (high > low ? (warp(value) - low) / (high - low) : 0.5);
    const distinct = [...new Set(known)].sort((a, b) => a - b);
    const isScore = axis === axes[axes.length - 1];
    const text = (value) => (isScore && data.percent ? `${Number((100 * value).toPrecision(3))} %` : plain(value));
    axis.stops = distinct.map((value) => ({ value, text: isScore ? metric(value) : plain(value) }));
    const ticks = isScore || distinct.length > 12 ? nice(low, high, axis.log) : distinct;
    axis.ticks = ticks.map((value) => ({ value, text: text(value) }));
  }

  function nice(low, high, isLog) {
    if (!(high > low)) return Number.isFinite(low) ? [isLog ? 10 ** low : low] : [];
    if (isLog) {
      const found = [];
      for (let power = Math.ceil(low - 1e-9); power <= high + 1e-9; power++) found.push(10 ** power);
      return found.length > 1 ? found : [10 ** low, 10 ** high];
    }
    const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(Number(value.toPrecision(6)));
    return found;
  }

  function groupOf(item) {
    if (state.group === "seed") return item.seed.seed;
    if (state.group === "run") return item.one.run;
    if (state.group === "schedule") return item.one.schedule;
    if (state.group === "learning rate") return item.one.lr;
    return item.one.optimizer;
  }

  function colour() {
    const isNumber = state.group === "learning rate" || state.group === "seed";
    let names = [...new Set(items.map(groupOf))];
    names.sort(isNumber ? (a, b) => a - b : (a, b) => String(a).localeCompare(String(b)));
    if (state.group === "optimizer") names = data.optimizers; // the colours of the figures
    const look = (i) =>
      state.group === "learning rate"
        ? { stroke: `var(--s${Math.round((6 * i) / Math.max(1, names.length - 1))})`, dash: "" }
        : { stroke: `var(--g${i % 7})`, dash: ["", "6 3", "2 3", "9 3 2 3"][Math.floor(i / 7) % 4] };
    const places = new Map(names.map((name, i) => [name, i]));
    for (const item of items) item.look = look(places.get(groupOf(item)));
    const used = new Set(items.map(groupOf));
    find("swatches").replaceChildren(
      ...names.filter((name) => used.has(name)).map((name) => {
        const entry = document.createElement("span"), picture = element("svg", { "aria-hidden": "true" });
        const { stroke, dash } = look(places.get(name));
        picture.append(element("line", { x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 3, "stroke-dasharray": dash, style: `stroke: ${stroke}` }));
        entry.append(picture, name === null ? "none" : isNumber ? plain(name) : name);
        return entry;
      }),
    );
  }

  const at = (item, a) => (item.values[a] === null ? MISSING : axes[a].place(item.values[a]));
  const passes = (item) =>
    Object.entries(state.brushes).every(([a, [low, high]]) => at(item, a) >= low - 1e-9 && at(item, a) <= high + 1e-9);

  function line(item, path, pane) {
    const shown = element("path", { class: "line", d: path, "stroke-dasharray": item.look.dash, style: `stroke: ${item.look.stroke}` });
    const hit = element("path", { class: "hit", d: path });
    hit.append(element("title", {}, `${item.name}: ${metric(item.values[item.values.length - 1])}`));
    hit.addEventListener("pointerenter", () => light(item));
    hit.addEventListener("pointerleave", () => light(null));
    hit.addEventListener("click", () => hold(item));
    pane.push({ item, shown, hit });
  }

  function drawParallel() {
    const box = find("parallel"), gap = 128, left = 24, right = 120;
    const width = Math.max(box.parentElement.clientWidth, left + right + gap * (axes.length - 1)), top = 34, bottom = 296;
    const height = items.some((item) => item.values.includes(null)) ? 340 : 308; // with the place of what is missing
    const x = (a) => left + (a * (width - left - right)) / Math.max(1, axes.length - 1);
    const y = (t) => bottom - t * (bottom - top);
    const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Parallel coordinates of the configurations" });
    draw.parallel = [];
    for (const item of items) {
      line(item, axes.map((_, a) => `${a ? "L" : "M"}${x(a).toFixed(1)} ${y(at(item, a)).toFixed(1)}`).join(""), draw.parallel);
    }
    svg.append(...draw.parallel.map((one) => one.shown), ...draw.parallel.map((one) => one.hit));
    axes.forEach((axis, a) => svg.append(drawAxis(axis, a, x(a), y, top, bottom)));
    svg.addEventListener("click", (event) => event.target === svg && hold(null));
    box.replaceChildren(svg);
  }

  function drawAxis(axis, a, x, y, top, bottom) {
    const group = element("g", { tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": axis.stops.length - 1 });
    const missing = items.some((item) => item.values[a] === null);
    const isLast = a === axes.length - 1;
    group.append(element("text", { x: isLast ? x + 112 : x - 8, y: 16, class: "halo", "font-weight": 600, "text-anchor": isLast ? "end" : "start" }, short(axis.label, isLast ? 24 : 17)));
    group.append(element("line", { x1: x, x2: x, y1: top, y2: bottom, class: "axis" }));
    const ticks = axis.ticks || axis.stops, every = Math.ceil(ticks.length / 16);
    ticks.forEach((tick, i) => {
      if (i % every) return;
      const label = element("text", { x: x + 6, y: y(axis.place(tick.value)) + 4, class: "tick halo" }, short(tick.text, 17));
      label.append(element("title", {}, tick.text));
      group.append(element("line", { x1: x - 3, x2: x + 3, y1: y(axis.place(tick.value)), y2: y(axis.place(tick.value)), class: "axis" }), label);
    });
    if (missing) group.append(element("text", { x: x + 6, y: y(MISSING) + 4, class: "tick halo" }, isLast ? "no score" : "none"));
    axis.brush = element("rect", { x: x - 9, width: 18, height: 0, class: "brush" });
    const grip = element("rect", { x: x - 14, y: top - 8, width: 28, height: bottom - top + 60, class: "grip" });
    group.append(axis.brush, grip);
    axis.group = group;
    axis.y = y;
    grip.addEventListener("pointerdown", (event) => drag(event, a, grip));
    group.addEventListener("keydown", (event) => keys(event, a));
    return group;
  }

  function drag(event, a, grip) {
    const rectangle = grip.ownerSVGElement.getBoundingClientRect(), { y } = axes[a];
    const t = (moved) => (y(0) - (moved.clientY - rectangle.top)) / (y(0) - y(1));
    const start = t(event);
    event.preventDefault();
    grip.setPointerCapture(event.pointerId);
    const move = (moved) => {
      if (Math.abs(t(moved) - start) > 0.012) state.brushes[a] = [Math.min(start, t(moved)), Math.max(start, t(moved))];
      else delete state.brushes[a];
      show();
    };
    grip.onpointermove = move;
    grip.onpointerup = grip.onpointercancel = () => (grip.onpointermove = grip.onpointerup = grip.onpointercancel = null);
    move(event);
  }

  function keys(event, a) {
    const axis = axes[a], order = axis.stops.map((stop) => axis.place(stop.value)).sort((p, q) => p - q);
    const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 };
    const now = state.brushes[a];
    if (event.key === "Escape") delete state.brushes[a];
    else if (event.key in steps && order.length) {
      const step = steps[event.key];
      const inside = order.map((t, i) => [t, i]).filter(([t]) => now && t >= now[0] - 1e-9 && t <= now[1] + 1e-9).map(([, i]) => i);
      let low = inside.length ? inside[0] : step > 0 ? -1 : order.length;
      let high = inside.length ? inside[inside.length - 1] : low;
      const clip = (i) => Math.max(0, Math.min(order.length - 1, i));
      if (!event.shiftKey || !inside.length) low = high = clip((step > 0 ? high : low) + step);
      else if (step > 0) high = clip(high + 1);
      else low = clip(low - 1);
      state.brushes[a] = [order[low], order[high]];
    } else return;
    event.preventDefault();
    show();
  }

  function drawCurves() {
    const box = find("curves"), width = Math.max(280, Math.min(1040, box.clientWidth)), height = 330;
    const left = 52, right = width - 14, top = 12, bottom = height - 40;
    const lasting = items.filter((item) => item.curve && item.curve[0].length);
    const epochs = lasting.flatMap((item) => item.curve[0]), values = lasting.flatMap((item) => item.curve[1]).sort((a, b) => a - b);
    const last = Math.max(2, ...epochs), low = values[0], cut = data.minimize ? values[Math.floor(0.98 * (values.length - 1))] : values[values.length - 1];
    const high = cut > low ? cut : low + 1e-9; // a loss that ran away would leave the others no height
    const x = (epoch) => left + ((epoch - 1) / (last - 1)) * (right - left);
    const y = (value) => bottom - ((Math.min(value, high) - low) / (high - low)) * (bottom - top);
    const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${data.metric} by epoch` });
    for (const tick of nice(low, high, false)) {
      svg.append(element("line", { x1: left, x2: right, y1: y(tick), y2: y(tick), class: "rule" }));
      svg.append(element("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end", class: "tick" }, data.percent ? `${Number((100 * tick).toPrecision(3))} %` : plain(tick)));
    }
    for (const tick of nice(1, last, false).filter(Number.isInteger)) {
      svg.append(element("text", { x: x(tick), y: bottom + 18, "text-anchor": "middle", class: "tick" }, String(tick)));
    }
    svg.append(element("text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle", class: "tick" }, "epoch"));
    draw.curves = [];
    for (const item of lasting) {
      const points = item.curve[0].map((epoch, i) => [x(epoch), y(item.curve[1][i])]);
      const path = points.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
      const [px, py] = points[points.length - 1];
      const cross = item.diverged ? `M${px - 4} ${py - 4}l8 8m0 -8l-8 8` : points.length === 1 ? "l.1 0m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0" : "";
      line(item, path + cross, draw.curves);
    }
    svg.append(...draw.curves.map((one) => one.shown), ...draw.curves.map((one) => one.hit));
    svg.addEventListener("click", (event) => event.target === svg && hold(null));
    box.replaceChildren(svg);
  }

  // show: what passes the brushes, and what is lit, in all three
  function show() {
    const passing = new Set(items.filter(passes));
    const kept = new Set([...passing].map((item) => item.one.row));
    const filtered = Object.keys(state.brushes).length > 0;
    const lit = state.lit || state.held;
    const same = (item) => lit && (item === lit || (item.one === lit.one && (!item.seed || !lit.seed)));
    for (const pane of [draw.parallel, draw.curves]) {
      for (const { item, shown, hit } of pane) {
        shown.classList.toggle("out", !passing.has(item));
        shown.classList.toggle("lit", Boolean(same(item)) && passing.has(item));
        hit.style.display = passing.has(item) ? "" : "none";
      }
    }
    for (const box of ["parallel", "curves"]) {
      find(box).classList.toggle("dim", Boolean(lit));
      find(box).classList.toggle("many", passing.size > 100); // so that what lies below shows through
    }
    const known = new Set(data.configurations.map((one) => one.row));
    for (const [number, row] of rows) {
      row.hidden = filtered && known.has(number) && !kept.has(number);
      row.classList.toggle("lit", Boolean(lit) && lit.one.row === number);
      row.classList.toggle("held", Boolean(state.held) && state.held.one.row === number);
    }
    axes.forEach((axis, a) => {
      const brush = state.brushes[a];
      axis.brush.setAttribute("y", brush ? axis.y(brush[1]) - 3 : 0);
      axis.brush.setAttribute("height", brush ? axis.y(brush[0]) - axis.y(brush[1]) + 6 : 0);
      const inside = brush ? axis.stops.filter((stop) => axis.place(stop.value) >= brush[0] - 1e-9 && axis.place(stop.value) <= brush[1] + 1e-9) : axis.stops;
      const words = brush ? inside.map((stop) => stop.text).join(", ") || "nothing" : "all";
      axis.group.setAttribute("aria-label", `Axis ${axis.label}`);
      axis.group.setAttribute("aria-valuetext", words);
      axis.group.setAttribute("aria-valuenow", inside.length ? axis.stops.indexOf(inside[0]) : 0);
    });
    const n = data.configurations.length;
    const counted = filtered ? `${kept.size} of ${n} configurations pass. ` : "";
    if (find("passing")) find("passing").textContent = counted;
    const score = lit ? lit.values[lit.values.length - 1] : null;
    const spread = lit && !lit.seed && lit.one.std !== null ? ` ± ${metric(lit.one.std)} over ${lit.one.n} seeds` : "";
    const broken = lit && lit.diverged ? (lit.seed ? ", diverged" : `, ${lit.diverged} diverged`) : "";
    find("readout").textContent = counted + (lit ? `${lit.name}: ${metric(score)}${spread}${broken}` : "");
  }

  function light(item) {
    state.lit = item;
    show();
  }

  function hold(item) {
    state.held = item && state.held && state.held.one === item.one && state.held.seed === item.seed ? null : item;
    show();
  }

  function redraw() {
    makeItems();
    if (state.held) state.held = items.find((item) => item.one.row === state.held.one.row) || null;
    state.lit = null;
    drawParallel();
    drawCurves();
    show();
  }

  function linkRows() {
    const itemOf = (row) => items.find((item) => item.one.row === Number(row.dataset.row)) || null;
    const shown = () => [...document.querySelectorAll("#leaderboard tr[data-row]:not([hidden])")];
    [...rows.values()].forEach((row, i) => {
      row.tabIndex = i ? -1 : 0; // one stop for the tab key: arrows go on from there
      row.addEventListener("pointerenter", () => light(itemOf(row)));
      row.addEventListener("pointerleave", () => light(null));
      row.addEventListener("focus", () => light(itemOf(row)));
      row.addEventListener("blur", () => light(null));
      row.addEventListener("click", () => hold(itemOf(row)));
      row.addEventListener("keydown", (event) => {
        if (event.target !== row) return;
        if (event.key === "Enter" || event.key === " ") hold(itemOf(row));
        else if (event.key === "Escape") hold(null);
        else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
          const all = shown(), next = all[all.indexOf(row) + (event.key === "ArrowDown" ? 1 : -1)];
          if (next) next.focus();
        } else return;
        event.preventDefault();
      });
    });
  }

  find("group").addEventListener("change", (event) => {
    const seeds = (group) => group === "seed";
    if (seeds(state.group) !== seeds(event.target.value)) {
      // the axis of seeds stands before that of scores
      const score = data.axes.length - 1, moved = {};
      for (const [a, brush] of Object.entries(state.brushes)) {
        if (Number(a) < score) moved[a] = brush;
      }
      state.brushes = moved;
    }
    state.group = event.target.value;
    redraw();
  });
  find("reset").addEventListener("click", () => {
    Object.assign(state, { brushes: {}, held: null, lit: null });
    show();
  });
  const kept = memory.read().explore;
  if (kept && kept.axes === data.axes.map((axis) => axis.label).join() && [...find("group").options].some((one) => one.value === kept.group)) {
    Object.assign(state, { group: kept.group, brushes: kept.brushes });
    find("group").value = kept.group;
  }
  addEventListener("pagehide", () =>
    memory.write({ explore: { group: state.group, brushes: state.brushes, axes: data.axes.map((axis) => axis.label).join() } }),
  );
  linkRows();
  redraw();
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar changes the height alone
    width = innerWidth;
    requestAnimationFrame(redraw);
  });
})();
