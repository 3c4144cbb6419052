"use strict";
// Draws each video's timeline when it comes near the view, and shows the frame under the pointer.
(() => {
  const overview = JSON.parse(document.getElementById("overview").textContent);
  const protocols = Object.keys(overview.protocols).filter((p) => p in overview.spans);
  const articles = [...document.querySelectorAll(".video")];
  const panels = new Map(); // article → its panel, once drawn
  const colours = 6; // c0 … c5 in page.css
  let protocol = protocols[0];
  let ownScale = false;

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const draw = (parent, tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    parent.append(element);
  };
  const colour = (i, count) => (i === count - 1 ? "main" : `c${i % colours}`);
  const number = (value) => (Number.isFinite(value) ? value.toFixed(3).replace("-", "−") : "–");
  const floats = (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  };

  /** Round steps over a range, about `wanted` of them. */
  function ticks(low, high, wanted) {
    const rough = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((s) => s * power >= rough * 0.999) * power;
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
    return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  function open(article) {
    if (panels.has(article)) return panels.get(article);
    const data = JSON.parse(article.querySelector("script.scores").textContent);
    const panel = { article, ...data, frame: -1, images: null };
    panel.protocols = {};
    for (const [name, series] of Object.entries(data.series)) {
      panel.protocols[name] = series.map(([label, packed]) => ({ label, values: floats(packed) }));
    }
    panel.tag = make("p", "protocol");
    article.querySelector("header").append(panel.tag);
    const body = make("div", "body");
    panel.chart = make("div", "chart");
    panel.readout = make("div", "readout");
    body.append(panel.chart);
    addPictures(panel, body);
    body.append(panel.readout);
    article.append(body);
    listen(panel);
    panels.set(article, panel);
    redraw(panel);
    show(panel, peak(panel));
    return panel;
  }

  /** The frame of the highest main score: what a reader wants to see first. */
  function peak(panel) {
    const values = (panel.protocols[protocol] || []).at(-1)?.values || [];
    let best = 0;
    values.forEach((v, i) => { if (v > values[best] || Number.isNaN(values[best])) best = i; });
    return best;
  }

  function span(panel) {
    if (!ownScale) return overview.spans[protocol];
    let [low, high] = [0, panel.thresholds[protocol] ?? 0];
    for (const { values } of panel.protocols[protocol]) {
      for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
    }
    return [low, high];
  }

  /** The chart's picture in frames × shares of the height; letters stand beside it, so that they are not stretched. */
  function redraw(panel) {
    const series = panel.protocols[protocol] || [];
    const { chart, frames } = panel;
    chart.replaceChildren();
    panel.tag.textContent = `${protocol} protocol`;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `-0.5 0 ${frames} 1`);
    svg.setAttribute("preserveAspectRatio", "none");
    chart.append(svg);
    for (const [start, end] of panel.labels || []) {
      draw(svg, "rect", { class: "span", x: start - 0.5, y: 0, width: end - start, height: 1 });
      draw(svg, "rect", { class: "foot", x: start - 0.5, y: 0.982, width: end - start, height: 0.018 });
    }
    timeAxis(panel);
    if (series.length === 0) chart.append(make("p", "empty", "no scores under this protocol"));
    else plot(panel, svg, series);
    panel.cursor = make("div", "cursor");
    chart.append(panel.cursor);
    fields(panel, series);
  }

  function plot(panel, svg, series) {
    let [low, high] = span(panel);
    if (!(high > low)) high = low + 1;
    const top = high + 0.04 * (high - low);
    const y = (v) => 1 - (v - low) / (top - low);
    const { found, digits } = ticks(low, high, 4);
    for (const value of found) {
      draw(svg, "path", { class: value === 0 ? "floor" : "grid", d: `M-0.5 ${y(value)}h${panel.frames}` });
      const tick = make("span", "tick y", value.toFixed(digits).replace("-", "−"));
      tick.style.bottom = `${100 * (1 - y(value))}%`;
      panel.chart.append(tick);
    }
    const threshold = panel.thresholds[protocol];
    if (threshold !== undefined) draw(svg, "path", { class: "threshold", d: `M-0.5 ${y(threshold)}h${panel.frames}` });
    series.forEach(({ values }, i) => {
      let d = "";
      let down = false;
      values.forEach((v, frame) => {
        if (Number.isFinite(v)) {
          d += `${down ? "L" : "M"}${frame} ${y(v).toFixed(4)}`;
          // A zero-length stroke makes a lone frame between two gaps visible.
          if (!down && !Number.isFinite(values[frame + 1])) d += "h0";
        }
        down = Number.isFinite(v);
      });
      draw(svg, "path", { class: `curve ${colour(i, series.length)}`, d });
    });
  }

  function timeAxis(panel) {
    const { found, digits } = ticks(0, panel.frames / panel.rate, 6);
    for (const time of found) {
      const tick = make("span", "tick x", `${time.toFixed(digits)} s`);
      tick.style.left = `${(100 * time * panel.rate) / panel.frames}%`;
      panel.chart.append(tick);
    }
  }

  function fields(panel, series) {
    const when = make("span", "when");
    const state = make("span", "state");
    panel.outputs = series.map(({ label }, i) => {
      const field = make("span", "field");
      const output = make("output");
      output.dataset.series = label;
      field.append(make("i", `key ${colour(i, series.length)}`), label, output);
      return { field, output };
    });
    panel.readout.replaceChildren(when, ...panel.outputs.map((o) => o.field), state);
    Object.assign(panel, { when, state });
  }

  function addPictures(panel, body) {
    const source = panel.article.querySelector("script.samples");
    if (!source) return;
    panel.images = { ...JSON.parse(source.textContent), caption: make("figcaption") };
    const { images } = panel;
    images.frame = make("img", "frame");
    const pictures = make("div", "pictures");
    const left = make("figure");
    left.append(images.frame, images.caption);
    pictures.append(left);
    if (images.heat.length) {
      const [under, over, stack, right] = [make("img", "under"), make("img", "over"), make("div", "stack"), make("figure")];
      under.alt = "";
      stack.append(under, over);
      right.append(stack, make("figcaption", "", "heat map"));
      pictures.append(right);
      Object.assign(images, { under, over });
    } else pictures.classList.add("single");
    body.append(pictures);
  }

  /** Moves a panel's pointer to a frame. */
  function show(panel, wanted) {
    const frame = Math.max(0, Math.min(panel.frames - 1, wanted));
    panel.frame = frame;
    panel.cursor.style.left = `${(100 * (frame + 0.5)) / panel.frames}%`;
    const series = panel.protocols[protocol] || [];
    const time = `frame ${frame} · ${(frame / panel.rate).toFixed(2)} s`;
    panel.when.textContent = time;
    series.forEach(({ values }, i) => { panel.outputs[i].output.textContent = number(values[frame]); });
    const labelled = panel.labels && panel.labels.some(([start, end]) => start <= frame && frame < end);
    const alarm = series.length > 0 && series.at(-1).values[frame] >= panel.thresholds[protocol];
    const words = [panel.labels ? (labelled ? "labelled anomalous" : "labelled normal") : "", alarm ? "above threshold" : ""];
    panel.state.textContent = words.filter(Boolean).join(", ");
    panel.chart.setAttribute("aria-valuenow", frame);
    const spoken = series.map(({ label, values }) => `${label} ${number(values[frame])}`);
    panel.chart.setAttribute("aria-valuetext", [time, ...spoken, panel.state.textContent].filter(Boolean).join(", "));
    if (panel.images) showPicture(panel.images, frame);
  }

  function showPicture(images, frame) {
    const sample = Math.min(images.frames.length - 1, Math.round(frame / images.step));
    if (sample === images.sample) return;
    images.sample = sample;
    const url = (base64) => `data:image/jpeg;base64,${base64}`;
    images.frame.src = url(images.frames[sample]);
    images.frame.alt = `frame ${sample * images.step}`;
    images.caption.textContent = `frame ${sample * images.step}`;
    if (!images.over) return;
    images.under.src = images.frame.src;
    images.over.src = url(images.heat[sample]);
    images.over.alt = `heat map of frame ${sample * images.step}`;
  }

  function listen(panel) {
    const { chart } = panel;
    const name = panel.article.dataset.name;
    const slider = { role: "slider", tabindex: 0, "aria-label": `frame of ${name}`, "aria-valuemin": 0, "aria-valuemax": panel.frames - 1 };
    for (const [key, value] of Object.entries(slider)) chart.setAttribute(key, value);
    const follow = (event) => {
      const box = chart.getBoundingClientRect();
      show(panel, Math.floor(((event.clientX - box.left) / box.width) * panel.frames));
    };
    chart.addEventListener("pointermove", follow);
    chart.addEventListener("pointerdown", follow);
    chart.addEventListener("keydown", (event) => {
      const long = Math.max(10, Math.round(panel.frames / 20));
      const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -long, PageUp: long, Home: -Infinity, End: Infinity };
      if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      show(panel, panel.frame + steps[event.key] * (event.shiftKey ? 10 : 1));
    });
  }

  function choices(legend, options, chosen) {
    const set = make("fieldset");
    set.append(make("legend", "", legend));
    options.forEach(([text, value], i) => {
      const [label, input] = [make("label", "choice"), make("input")];
      Object.assign(input, { type: "radio", name: legend, value, checked: i === 0 });
      input.addEventListener("change", () => { chosen(value); redrawAll(); });
      label.append(input, make("span", "", text));
      set.append(label);
    });
    return set;
  }

  function redrawAll() {
    document.getElementById("explained").textContent = overview.protocols[protocol] || "";
    for (const panel of panels.values()) { redraw(panel); show(panel, panel.frame); }
  }

  function bar() {
    const jump = make("select");
    jump.setAttribute("aria-label", "go to a video");
    jump.append(new Option("go to a video…", ""));
    articles.forEach((article, i) => jump.append(new Option(article.dataset.name, i)));
    jump.addEventListener("change", () => { if (jump.value !== "") articles[jump.value].scrollIntoView(); });
    const explained = make("p", "", overview.protocols[protocol] || "");
    explained.id = "explained";
    const legend = make("ul", "legend");
    const keys = [["label", "labelled anomalous"], ["threshold", "alarm threshold"], ["heat", "error, low to high"]];
    for (const [key, text] of keys) {
      const item = make("li", "", text);
      item.prepend(make("i", `key ${key}`));
      legend.append(item);
    }
    document.getElementById("bar").append(
      choices("protocol", protocols.map((p) => [`${p} protocol`, p]), (p) => { protocol = p; }),
      choices("scale", [["one scale", "one"], ["each its own", "own"]], (s) => { ownScale = s === "own"; }),
      jump, legend, explained,
    );
  }

  /** #video=NAME&frame=N, as the cards link. */
  function follow() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const article = articles.find((a) => a.dataset.name === wanted.get("video"));
    if (!article) return;
    show(open(article), Number(wanted.get("frame")) || 0);
    article.scrollIntoView();
  }

  if (articles.length === 0) return;
  bar();
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); open(entry.target); }
  }, { rootMargin: "300px" });
  articles.forEach((article) => seen.observe(article));
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", () => articles.forEach(open));
  follow();
})();
