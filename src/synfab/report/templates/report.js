"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures");
  // Twice the pixels of the page, so that figures are sharp on paper. As SVG they would be sharp
  // too, but thousands of points as elements make the page slow.
  const ratio = Math.max(2, devicePixelRatio);
  Object.defineProperty(window, "devicePixelRatio", { get: () => ratio });
  const { names, shown } = read("offered");
  const sources = Object.fromEntries(shown.map((name) => [name, []]));
  // The columns of all devices take megabytes, so they are parsed at the first selection.
  let columns;

  const decode = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  };
  const device = (name, k) => {
    columns ??= read("columns");
    return Object.fromEntries(Object.entries(columns[name][k]).map(([c, t]) => [c, decode(t)]));
  };

  // RFC 4180; text that a spreadsheet would evaluate as a formula gets an apostrophe in front.
  const quoted = (text) => {
    const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
    const safe = !number && /^\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  };

  const table = (k) => {
    const lines = [];
    for (const name of shown) {
      const data = device(name, k);
      const heads = Object.keys(data);
      lines.push(["table", "device", ...heads].join(","));
      for (let n = 0; n < data[heads[0]].length; n++) {
        if (heads.every((c) => Number.isFinite(data[c][n])))
          lines.push([name, quoted(names[k]), ...heads.map((c) => data[c][n])].join(","));
      }
    }
    return lines.join("\r\n") + "\r\n";
  };

  const link = document.getElementById("device-table");
  const picker = document.getElementById("device");
  link.addEventListener("click", () => {
    link.href = "data:text/csv;charset=utf-8," + encodeURIComponent(table(Number(picker.value)));
  });
  picker.addEventListener("change", () => {
    const k = Number(picker.value);
    for (const name of shown) {
      const data = device(name, k);
      for (const source of sources[name]) source.data = data;
    }
    document.getElementById("picked").textContent = `Device ${names[k]} is shown.`;
  });

  const views = {};
  const touch = matchMedia("(pointer: coarse)").matches;
  const plots = (view) => (view.model.children ? [...view.child_views] : [view]);
  const embed = async (item) => {
    const [view] = await Bokeh.embed.embed_item(item);
    views[item.target_id] = view;
    for (const plot of plots(view)) {
      plot.el.addEventListener("dblclick", () => plot.reset());
      // On touch screens, dragging scrolls the page.
      if (touch) plot.model.toolbar.tools.find((t) => t.type === "BoxZoomTool").active = false;
    }
    const document_ = view.model.document;
    for (const name of shown) {
      const source = document_.get_model_by_name(name);
      if (!source) continue;
      sources[name].push(source);
      // A device may have been selected before this figure was drawn.
      if (picker.value !== "0") source.data = device(name, Number(picker.value));
    }
  };

  // Toolbar.
  const on = (id, act) => document.getElementById(id).addEventListener("click", act);
  const menu = document.getElementById("download");
  on("print", () => print());
  on("reset", () => Object.values(views).flatMap(plots).forEach((plot) => plot.reset()));
  on("save", async () => {
    const name = document.getElementById("figure").value;
    if (!views[name]) await drawAside();
    const a = document.createElement("a");
    a.href = URL.createObjectURL(await views[name].export("png").to_blob());
    a.download = `${name}.png`;
    a.click();
  });
  addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") menu.open = false;
  });

  // Paper has another width, but drawn figures keep theirs: they are scaled to it.
  const PAPER = 703; // A4 without its margins, px
  addEventListener("beforeprint", () => {
    const style = document.documentElement.style;
    const drawn = [...document.querySelectorAll(".plot")].filter((plot) => plot.offsetWidth);
    for (const plot of drawn) plot.style.width = `${plot.offsetWidth}px`;
    const width = (wide) =>
      Math.max(1, ...drawn.filter((p) => Boolean(p.closest(".wide")) === wide).map((p) => p.offsetWidth));
    const small = Math.min(0.85, PAPER / (2 * width(false) + 2 * 20 + 8));
    style.setProperty("--panel-zoom", small);
    style.setProperty("--wide-zoom", Math.min(1, PAPER / width(true)) / small);
  });
  addEventListener("afterprint", () => {
    for (const plot of document.querySelectorAll(".plot")) plot.style.width = "";
  });

  const aside = (item) => document.getElementById(item.target_id).closest("details");
  const drawAside = async () => {
    for (const item of figures.filter(aside)) if (!views[item.target_id]) await embed(item);
    document.documentElement.dataset.aside = "ready";
  };
  const mark = (stage) => {
    document.documentElement.dataset.ready = stage;
    performance.mark(stage);
  };

  // Visible figures are drawn first, the others when the browser is idle.
  const waiting = figures.filter((item) => !aside(item));
  const near = new Set();
  const pause = () => new Promise((resolve) => setTimeout(resolve));
  const idle = () =>
    window.requestIdleCallback
      ? new Promise((resolve) => requestIdleCallback(resolve, { timeout: 300 }))
      : pause();
  const watch = () =>
    new Promise((resolve) => {
      const observer = new IntersectionObserver(
        (entries) => {
          for (const { target, isIntersecting } of entries)
            near[isIntersecting ? "add" : "delete"](target.id);
          resolve();
        },
        { rootMargin: "100px 0px" },
      );
      for (const item of waiting) observer.observe(document.getElementById(item.target_id));
    });
  const inView = () => {
    if (!document.documentElement.dataset.ready) mark("view");
  };
  const draw = async () => {
    await watch();
    while (waiting.length) {
      let k = waiting.findIndex((item) => near.has(item.target_id));
      if (k < 0) {
        inView();
        await idle();
        k = Math.max(0, waiting.findIndex((item) => near.has(item.target_id)));
      } else await pause();
      await embed(waiting.splice(k, 1)[0]);
    }
    inView();
    mark("all");
  };
  document.querySelector("main details:has(.plot)")?.addEventListener("toggle", drawAside, { once: true });
  draw();
})();
