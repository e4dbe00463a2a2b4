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
    const { devices, cycles, points } = loops;
    const series = [0, 1, 2, 3].map((k) => colour(`series-${k}`));
    const ramp = ramps[isDark() ? "cycles-dark" : "cycles-light"];
    const data = { xs: [], ys: [], sizes: [], colour: [], device: [], cycle: [] };
    for (let device = 0; device < devices; device++)
      for (let cycle = 0; cycle < cycles; cycle++) {
        const at = (device * cycles + cycle) * points;
        const current = loops.current.subarray(at, at + points);
        const share = cycles > 1 ? cycle / (cycles - 1) : 0;
        data.xs.push(loops.voltage);
        data.ys.push(current);
        data.sizes.push(magnitudes(current));
        data.device.push(device);
        data.cycle.push(cycle);
        data.colour.push(
          coloured === "cycle" ? ramp[Math.round(share * (ramp.length - 1))] : series[device % 4],
        );
      }
    put("loops", data);
  };

  const show = {
    loops(found) {
      const { devices, cycles, points } = found;
      const [voltage, current] = [numbers(found.voltage), numbers(found.current)];
      loops = { devices, cycles, points, voltage, current };
      drawLoops();
      const data = { xs: [], ys: [], sizes: [], colour: [], device: [], cycle: [] };
      for (const line of found.measured) {
        const measured = numbers(line.current);
        data.xs.push(numbers(line.voltage));
        data.ys.push(measured);
        data.sizes.push(magnitudes(measured));
        data.colour.push("");
        data.device.push(line.device);
        data.cycle.push(line.cycle);
      }
      put("loops-measured", data);
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
      for (const one of ["linear", "log"]) find(`loops-${one}`).visible = one === scale;
    },
    setShown(word, visible) {
      for (const model of each())
        if (model.type === "GlyphRenderer" && model.name === word && model.glyph.type === "MultiLine")
          model.visible = visible;
    },
    markTime(seconds) {
      find("read-time").location = seconds;
    },
  };
})();
