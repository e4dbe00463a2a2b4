"use strict";
// Figures of the explorer: their models by name, their data, and the colours of the scheme.
const Figures = (() => {
  const documents = [];
  let ramps = {};
  let loops = null; // what is drawn, to draw it again in other colours
  let coloured = "device";
  const probe = document.createElement("i");

  const find = (name) => {
    for (const one of documents) {
      const model = one.get_model_by_name(name);
      if (model) return model;
    }
    throw new Error(`no figure ${name}`);
  };
  const each = function* () {
    for (const one of documents) yield* one.all_models;
  };
  const numbers = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  };
  const put = (name, data) => {
    find(name).data = data;
  };

  // A name of the style sheet as the colour that the present scheme gives it.
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    const found = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3);
    return "#" + found.map((x) => Math.round(x).toString(16).padStart(2, "0")).join("");
  };
  const isDark = () => parseInt(colour("card").slice(1, 3), 16) < 128;

  const magnitudes = (current) => Float32Array.from(current, (x) => Math.abs(x) || NaN);

  const drawLoops = () => {
    const series = [0, 1, 2, 3].map((k) => colour(`series-${k}`));
    const ramp = ramps[isDark() ? "cycles-dark" : "cycles-light"];
    for (const [name, lines] of Object.entries(loops)) {
      const last = Math.max(1, ...lines.map(({ cycle }) => cycle));
      const shade = ({ cycle }) => ramp[Math.round((cycle / last) * (ramp.length - 1))];
      put(name, {
        xs: lines.map(({ voltage }) => voltage),
        ys: lines.map(({ current }) => current),
        sizes: lines.map(({ current }) => magnitudes(current)),
        device: lines.map(({ device }) => device),
        cycle: lines.map(({ cycle }) => cycle),
        colour: lines.map((line) => (coloured === "cycle" ? shade(line) : series[line.device % 4])),
      });
    }
  };

  const show = {
    loops(found) {
      const { devices, cycles, points } = found;
      const [voltage, current] = [numbers(found.voltage), numbers(found.current)];
      const generated = Array.from({ length: devices * cycles }, (_, k) => ({
        voltage,
        current: current.subarray(k * points, (k + 1) * points),
        device: Math.floor(k / cycles),
        cycle: k % cycles,
      }));
      const measured = found.measured.map((line) => ({
        ...line, voltage: numbers(line.voltage), current: numbers(line.current),
      }));
      loops = { loops: generated, "loops-measured": measured };
      find("loops-measured-part").visible = measured.length > 0;
      drawLoops();
    },
    features(found) {
      found.forEach((one, f) => {
        const [left, right] = [numbers(one.left), numbers(one.right)];
        put(`feature-${f}`, { left, right, generated: numbers(one.generated) });
        const [x, y] = [[], []];
        numbers(one.measured).forEach((share, k) => {
          x.push(left[k], right[k]);
          y.push(share, share);
        });
        put(`feature-${f}-measured`, { x, y });
      });
    },
    map(found) {
      const conductance = numbers(found.conductance);
      const row = Array.from(conductance, (_, k) => Math.floor(k / found.rows));
      const column = Array.from(conductance, (_, k) => k % found.rows);
      find("map-colours").high = conductance.reduce((a, b) => Math.max(a, b), 0);
      put("map", { row, column, conductance });
    },
    rows(found) {
      const [ideal, real] = [numbers(found.ideal), numbers(found.real)];
      put("rows", { row: Array.from(ideal.keys()), ideal, real });
    },
    time(found) {
      found.bands.forEach(([low, middle, high], k) => {
        put(`time-${k}`, { time: numbers(found.time), low: numbers(low),
          middle: numbers(middle), high: numbers(high) });
      });
    },
  };

  // Colours of all parts that the style sheet cannot reach.
  const paint = () => {
    const [ink, soft, edge, grid] = ["ink", "soft", "edge", "grid"].map(colour);
    for (const model of each()) {
      if (model.type === "Figure") model.outline_line_color = edge;
      else if (model.type.endsWith("Axis")) {
        model.axis_label_text_color = ink;
        model.major_label_text_color = soft;
        model.axis_line_color = model.major_tick_line_color = edge;
      } else if (model.type === "Grid") model.grid_line_color = grid;
      else if (model.type === "ColorBar") {
        model.title_text_color = ink;
        model.major_label_text_color = soft;
        model.major_tick_line_color = edge;
      } else if (model.name === "map-colours") model.palette = ramps[isDark() ? "map-dark" : "map-light"];
      else if (model.name === "read-time") model.line_color = colour("measured");
      else if (model.type === "GlyphRenderer" && /^(series-\d|measured)$/.test(model.name ?? "")) {
        const found = { value: colour(model.name) };
        const glyph = model.glyph;
        if (["Quad", "VArea"].includes(glyph.type)) glyph.fill_color = found;
        else glyph.line_color = found;
      }
    }
    if (loops) drawLoops();
  };

  return {
    show,
    paint,
    isDark,
    async embed(items, scales) {
      ramps = scales;
      probe.hidden = true;
      document.body.append(probe);
      for (const item of items) {
        const views = await Bokeh.embed.embed_item(item);
        documents.push([...views][0].model.document);
      }
      // A finger on a figure scrolls the page.
      if (matchMedia("(pointer: coarse)").matches)
        for (const model of each()) if (model.type === "BoxZoomTool") model.active = false;
      paint();
    },
    setView({ colour: by, scale }) {
      if (by !== coloured) {
        coloured = by;
        if (loops) drawLoops();
      }
      for (const name of ["loops", "loops-measured"])
        for (const one of ["linear", "log"]) find(`${name}-${one}`).visible = one === scale;
    },
    markTime(seconds) {
      find("read-time").location = seconds;
    },
  };
})();
