// The animation: paths over the contours of the loss, with learning rate and loss of every step beside them.
"use strict";

(() => {
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const find = (id) => document.getElementById(id);
  const DOTS = 200, USUAL = 50; // steps above which single ones are no longer marked; steps of a usual path
  const CHART = { width: 460, height: 138, left: 58, right: 450, top: 8, bottom: 108 };
  const state = { comparison: scene.comparisons[0], t: 0, playing: false, before: 0 };
  let drawn = [];

  const element = (name, attributes = {}, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const plain = (number) => {
    if (number === null || number === undefined) return "–";
    if (number === 0 || (Math.abs(number) >= 0.001 && Math.abs(number) < 10000)) return String(Number(number.toPrecision(3)));
    return number.toExponential(1).replace("e+", "e").replace(".0e", "e");
  };
  const last = (run) => run.x.length - 1;
  const between = (values, t) => {
    const i = Math.floor(t);
    return i + 1 < values.length ? values[i] + (t - i) * (values[i + 1] - values[i]) : values[values.length - 1];
  };
  const style = (path) => ({ style: `stroke: ${path.stroke}`, "stroke-dasharray": path.dash });

  // a row of the table, a line and a head on the plane: for every path of the comparison
  function make(path) {
    const run = scene.runs[path.run];
    const row = document.createElement("tr"), cell = document.createElement("td"), label = document.createElement("label");
    const box = document.createElement("input"), swatch = element("svg", { "aria-hidden": "true" });
    box.type = "checkbox";
    box.checked = path.shown;
    swatch.append(element("line", { x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 3, ...style(path) }));
    label.append(box, swatch, path.label + (run.diverged ? " (diverged)" : ""));
    cell.append(label);
    const lr = document.createElement("td"), loss = document.createElement("td");
    row.append(cell, lr, loss);
    const way = element("path", { class: "way", ...style(path) });
    const dots = element("path", { class: "way", style: `stroke: ${path.stroke}`, "stroke-linecap": "round" });
    dots.style.strokeWidth = "5";
    const head = element("circle", { class: "head", r: 7, style: `fill: ${path.stroke}` });
    const item = { path, run, row, box, lr, loss, way, dots, head };
    box.addEventListener("change", () => {
      path.shown = box.checked;
      charts();
      show();
    });
    return item;
  }

  function compare(index) {
    state.comparison = scene.comparisons[index];
    drawn = state.comparison.paths.map(make);
    find("rows").replaceChildren(...drawn.map((item) => item.row));
    find("paths").replaceChildren(...drawn.flatMap((item) => [item.way, item.dots]));
    find("heads").replaceChildren(...drawn.map((item) => item.head));
    find("question").textContent = state.comparison.question;
    find("step").max = state.comparison.steps;
    state.t = state.comparison.steps;
    charts();
    show();
  }

  function show() {
    const { steps } = state.comparison, step = Math.round(state.t);
    for (const item of drawn) {
      const { run, path } = item, t = Math.min(state.t, last(run)), whole = Math.floor(t), at = Math.min(step, last(run));
      const x = between(run.x, t), y = between(run.y, t);
      let d = `M${run.x[0]} ${run.y[0]}`, dots = "";
      for (let i = 1; i <= whole; i++) d += `L${run.x[i]} ${run.y[i]}`;
      if (steps <= DOTS) for (let i = 1; i <= whole; i++) dots += `M${run.x[i]} ${run.y[i]}h0`;
      item.way.setAttribute("d", `${d}L${x.toFixed(1)} ${y.toFixed(1)}`);
      item.dots.setAttribute("d", dots);
      item.head.setAttribute("cx", x.toFixed(1));
      item.head.setAttribute("cy", y.toFixed(1));
      for (const part of [item.way, item.dots, item.head]) part.style.display = path.shown ? "" : "none";
      item.row.className = path.shown ? "" : "off";
      item.lr.textContent = path.shown ? plain(run.lr[at]) : "";
      item.loss.textContent = path.shown ? plain(run.loss[at]) : "";
    }
    find("step").value = step;
    find("step").setAttribute("aria-valuetext", `step ${step} of ${steps}`);
    find("at").textContent = `${step} of ${steps}`;
    for (const line of document.querySelectorAll(".now")) {
      const x = CHART.left + ((CHART.right - CHART.left) * state.t) / steps;
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
    }
  }

  // the two charts beside the plane: one line per shown path
  function charts() {
    chart("losses", (run) => run.loss, true);
    chart("lrs", (run) => run.lr, false);
  }

  function chart(id, values, isLog) {
    const svg = find(id), { width, height, left, right, top, bottom } = CHART, { steps } = state.comparison;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const shown = drawn.filter((item) => item.path.shown);
    const warp = isLog ? (value) => Math.log10(Math.max(value, 1e-16)) : (value) => value;
    const all = shown.flatMap((item) => values(item.run).filter((value) => value !== null).map(warp));
    const low = isLog ? Math.min(...all) : 0, most = isLog ? Math.max(...all) : 1.1 * Math.max(...all), high = most > low ? most : low + 1;
    const x = (step) => left + ((right - left) * step) / steps;
    const y = (value) => bottom - ((warp(value) - low) / (high - low)) * (bottom - top);
    const parts = all.length ? ticks(low, high, isLog) : [];
    const pieces = parts.flatMap((value) => [
      element("line", { class: "rule", x1: left, x2: right, y1: y(value), y2: y(value) }),
      element("text", { class: "tick", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, plain(value)),
    ]);
    for (const step of [0, Math.round(steps / 2), steps]) {
      pieces.push(element("text", { class: "tick", x: x(step), y: bottom + 20, "text-anchor": step === steps ? "end" : "middle" }, String(step)));
    }
    for (const item of shown) {
      const d = values(item.run).map((value, i) => (value === null ? "" : `${i ? (isLog ? "L" : `H${x(i).toFixed(1)}L`) : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`)).join(""); // a learning rate holds for its step
      pieces.push(element("path", { class: "way", d, ...style(item.path) }));
    }
    pieces.push(element("line", { class: "now", y1: top, y2: bottom, x1: x(state.t), x2: x(state.t) }));
    svg.replaceChildren(...pieces);
  }

  function ticks(low, high, isLog) {
    const power = 10 ** Math.floor(Math.log10(high));
    if (!isLog) return [0, Number((power * Math.floor(high / power)).toPrecision(3))];
    const found = [], every = Math.max(1, Math.ceil((high - low) / 4));
    for (let power = Math.ceil(low); power <= high; power += every) found.push(10 ** power);
    return found.length > 1 ? found : [10 ** low, 10 ** high];
  }

  function play(on) {
    state.playing = on;
    find("play").textContent = on ? "Pause" : "Play";
    if (!on) return;
    if (state.t >= state.comparison.steps) state.t = 0;
    state.before = performance.now();
    requestAnimationFrame(frame);
  }

  const perSecond = () => Number(find("speed").value) * Math.max(1, state.comparison.steps / USUAL); // long ones run faster

  function frame(now) {
    if (!state.playing) return;
    state.t = Math.min(state.comparison.steps, state.t + (Math.max(0, now - state.before) / 1000) * perSecond());
    state.before = now;
    show();
    if (state.t >= state.comparison.steps) play(false);
    else requestAnimationFrame(frame);
  }

  const go = (t) => {
    play(false);
    state.t = Math.max(0, Math.min(state.comparison.steps, t));
    show();
  };
  const choose = (isShown) => {
    for (const item of drawn) item.path.shown = item.box.checked = isShown;
    charts();
    show();
  };

  find("play").addEventListener("click", () => play(!state.playing));
  find("step").addEventListener("input", (event) => go(Number(event.target.value)));
  find("comparison").addEventListener("change", (event) => {
    play(false);
    compare(Number(event.target.value));
  });
  find("all").addEventListener("click", () => choose(true));
  find("none").addEventListener("click", () => choose(false));
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, button, a, .plate")) return;
    const moves = { ArrowRight: Math.round(state.t) + 1, ArrowLeft: Math.round(state.t) - 1, Home: 0, End: state.comparison.steps };
    if (event.key === " ") play(!state.playing);
    else if (event.key in moves) go(moves[event.key]);
    else return;
    event.preventDefault();
  });
  let kept = null;
  matchMedia("print").addEventListener("change", (event) => {
    if (event.matches) {
      kept = state.t;
      go(state.comparison.steps); // on paper: the still picture
    } else if (kept !== null) go(kept);
  });
  document.documentElement.classList.add("scripted");
  compare(0);
})();
