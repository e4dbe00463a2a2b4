"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures");
  const { names, columns } = read("columns");
  const sources = {};

  const decode = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  };
  const device = (name, k) =>
    Object.fromEntries(Object.entries(columns[name][k]).map(([c, t]) => [c, decode(t)]));

  const table = (k) => {
    const lines = [];
    for (const name of Object.keys(columns)) {
      const data = device(name, k);
      const heads = Object.keys(data);
      lines.push(["table", "device", ...heads].join(","));
      for (let n = 0; n < data[heads[0]].length; n++) {
        if (heads.every((c) => Number.isFinite(data[c][n])))
          lines.push([name, JSON.stringify(names[k]), ...heads.map((c) => data[c][n])].join(","));
      }
    }
    return lines.join("\n") + "\n";
  };

  const link = document.getElementById("device-table");
  const picker = document.getElementById("device");
  link.addEventListener("click", () => {
    link.href = "data:text/csv;charset=utf-8," + encodeURIComponent(table(Number(picker.value)));
  });
  picker.addEventListener("change", () => {
    const k = Number(picker.value);
    for (const name of Object.keys(sources))
      for (const source of sources[name]) source.data = device(name, k);
    document.getElementById("picked").textContent = `Device ${names[k]} is shown.`;
  });

  const embed = async (item) => {
    const views = await Bokeh.embed.embed_item(item);
    const document_ = [...views][0].model.document;
    for (const name of Object.keys(columns)) {
      const source = document_.get_model_by_name(name);
      if (source) (sources[name] ??= []).push(source);
    }
  };
  const aside = (item) => document.getElementById(item.target_id).closest("details");
  const drawAside = async () => {
    for (const item of figures.filter(aside)) await embed(item);
    document.documentElement.dataset.aside = "ready";
  };
  const mark = (stage) => {
    document.documentElement.dataset.ready = stage;
    performance.mark(stage);
  };
  const draw = async () => {
    for (const item of figures.filter((item) => !aside(item))) {
      await embed(item);
      // What is drawn can be seen and used while the rest is drawn.
      if (!document.documentElement.dataset.ready) mark("first");
      await new Promise((resolve) => setTimeout(resolve));
    }
    mark("all");
  };
  document.querySelector("section details")?.addEventListener("toggle", drawAside, { once: true });
  draw();
})();
