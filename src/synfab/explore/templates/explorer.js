"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const config = read("config");
  const root = document.documentElement;
  const at = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const now = { ...config.values }; // texts of all settings
  let measurement = null; // facts of the measurement that is shown
  let shown = {}; // settings of what each panel shows
  let script = "";

  // ---- settings and address ---------------------------------------------------------------------

  const query = (values) => {
    const found = new URLSearchParams();
    for (const [name, value] of Object.entries(values))
      if (value !== config.defaults[name]) found.set(name, value);
    return found.toString();
  };
  const address = () => location.pathname + (query(now) && `?${query(now)}`);
  const remember = () => {
    if (address() !== location.pathname + location.search) history.pushState(null, "", address());
  };

  const DURATIONS = [[3.156e7, "years"], [86400, "days"], [3600, "h"], [60, "min"], [1, "s"],
    [1e-3, "ms"]];
  const duration = (seconds) => {
    const [unit, word] = DURATIONS.find(([size]) => seconds >= 0.999 * size) ?? [1e-3, "ms"];
    return `${Number((seconds / unit).toPrecision(3))} ${word}`;
  };
  const fill = () => {
    for (const [name, value] of Object.entries(now)) {
      const control = at(`c-${name}`);
      if (control) control.value = value;
      const slider = document.querySelector(`[data-for="${name}"]`);
      if (slider) slider.value = value;
    }
    look();
  };
  // What changes at once, without a computation.
  const look = () => {
    Figures.setView(now);
    if (now.log_time !== undefined) {
      const seconds = 10 ** Number(now.log_time);
      Figures.markTime(seconds);
      at("duration").textContent = `= ${duration(seconds)}`;
    }
  };

  const change = (name, value, finished) => {
    now[name] = value;
    const control = at(`c-${name}`);
    if (control && control.value !== value) control.value = value;
    const slider = document.querySelector(`[data-for="${name}"]`);
    if (slider && slider.value !== value) slider.value = value;
    compute(finished);
  };
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["input", "change"])
    document.addEventListener(kind, ({ target }) => {
      const name = target.dataset.for ?? (target.id === `c-${target.name}` ? target.name : null);
      if (!name) return;
      // A number is complete when its field is left; a slider moves the figures.
      if (kind === "change" || target.type === "range") change(name, target.value, kind === "change");
    });
  window.addEventListener("popstate", () => {
    const given = new URLSearchParams(location.search);
    for (const name of Object.keys(now)) now[name] = given.get(name) ?? config.defaults[name];
    fill();
    compute(false);
  });
  at("reset").addEventListener("click", () => {
    Object.assign(now, config.defaults, { measurement: now.measurement });
    fill();
    compute(true);
  });

  // ---- computing --------------------------------------------------------------------------------

  const say = (text) => { at("state").textContent = text; };
  const warn = (text) => {
    at("notice").textContent = text;
    at("notice").hidden = !text;
    const name = text.split(":")[0];
    for (const one of all("[aria-invalid]")) one.removeAttribute("aria-invalid");
    at(`c-${name}`)?.setAttribute("aria-invalid", "true");
  };
  // Figures are drawn in the next frames.
  const frame = () => new Promise((resolve) => { requestAnimationFrame(resolve); });
  const drawn = async () => {
    await frame();
    while (Bokeh.documents.some((one) => !one.is_idle)) await frame();
    await frame();
  };
  let running = false;
  const busy = (panels) => {
    root.toggleAttribute("data-busy", Boolean(panels));
    if (panels) delete root.dataset.ready;
    for (const card of all("[data-panel]"))
      card.setAttribute("aria-busy", String(panels?.includes(card.dataset.panel) ?? false));
    if (panels) say("Computing");
    else drawn().then(() => {
      if (!running) root.dataset.ready = "all";
    });
  };
  const key = (panel, values) => JSON.stringify(config.panels[panel].map((name) => values[name]));
  const outdated = () => Object.keys(config.panels).filter((p) => shown[p] !== key(p, now));

  const fetched = async (path, options) => {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Error("The explorer does not answer; start it again: synfab explore");
    }
    if (!answer.ok) throw new Error((await answer.text()).trim());
    return answer.json();
  };

  let again = false;
  let unfinished = false;
  // One request at a time, always with the newest settings.
  const compute = async (finished) => {
    unfinished ||= finished;
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      const asked = { ...now };
      const panels = outdated();
      busy(panels);
      try {
        // All panels with an empty key are asked for; the defaults are those of the server.
        const found = await fetched(`compute?${query(asked)}&panels=${panels.join(",")}`);
        for (const [panel, columns] of Object.entries(found.columns)) Figures.show[panel](columns);
        for (const panel of panels) shown[panel] = key(panel, asked);
        measurement = found.measurement;
        script = found.script;
        at("script").textContent = script;
        tell(found.numbers);
        look();
        root.dataset.shown = "";
        if (!keepNotice) warn("");
        keepNotice = false;
        if (unfinished && !again) {
          remember();
          unfinished = false;
        }
        const names = found.computed.join(", ");
        const time = found.seconds < 0.01 ? "less than 0.01" : found.seconds.toFixed(2);
        say(names ? `Computed ${names} in ${time} s` : "Up to date");
      } catch (error) {
        warn(error.message);
        say("Not computed; the figures show the last valid settings");
      }
    }
    running = false;
    busy(null);
  };
  let keepNotice = !at("notice").hidden; // of the address, until a setting changes

  // ---- numbers ----------------------------------------------------------------------------------

  const PREFIXES = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "u"], [1e-9, "n"]];
  const si = (value, unit) => {
    const size = Math.abs(value);
    const [scale, prefix] = PREFIXES.find(([one]) => size >= 0.9995 * one) ?? [1e-9, "n"];
    return `${(value / scale).toPrecision(3)} ${prefix}${unit}`;
  };
  const feature = (name, value) =>
    value === undefined ? "none" : name.startsWith("r_") ? si(value, "ohm") : `${value.toFixed(3)} V`;
  // Two values; the unit is written once if it is the same.
  const range = (name, [low, , high]) => {
    const [from, to] = [feature(name, low), feature(name, high)].map((text) => text.split(" "));
    return from[1] === to[1] ? `${from[0]} to ${to.join(" ")}` : `${from.join(" ")} to ${to.join(" ")}`;
  };
  const tell = (numbers) => {
    for (const place of all("[data-number]")) {
      const name = place.dataset.number;
      const value = numbers[name];
      place.textContent =
        name === "wire_error" ? `${(100 * value).toFixed(2)} %`
        : name === "row_current" ? si(value, "A") : feature(name, value[1]);
    }
    for (const place of all("[data-range]")) {
      place.textContent = range(place.dataset.range, numbers[place.dataset.range]);
      place.title = "5 to 95 % of the devices and cycles";
    }
    for (const place of all("[data-measured]")) {
      const name = place.dataset.measured;
      const values = numbers[`measured_${name}`];
      place.textContent = values ? `${feature(name, values[1])} measured` : "";
      place.title = values ? `${range(name, values)} (5 to 95 %)` : "";
    }
    document.querySelector(".features .legend").hidden = !measurement;
    document.querySelector(".cards").classList.toggle("compared", Boolean(measurement));
    at("measured").hidden = !measurement;
    if (!measurement) return;
    const { name, devices, cycles, voltages } = measurement;
    at("measured-name").textContent = name;
    const sweep = voltages ? `${voltages.map((u) => u.toFixed(2)).join(" to ")}\u00a0V` : "features, no loops";
    at("measured-facts").textContent = `${devices} devices, ${cycles} cycles, ${sweep}`;
    at("same-sweep").hidden = !voltages;
  };

  // ---- measurement ------------------------------------------------------------------------------

  at("file").addEventListener("change", async () => {
    const file = at("file").files[0];
    if (!file) return;
    if (file.size > config.upload) {
      warn(`${file.name}: larger than ${config.limit}; start the explorer with the file: synfab explore FILE`);
      at("file").value = "";
      return;
    }
    busy(["loops", "features"]);
    say(`Reading ${file.name}`);
    try {
      const given = new URLSearchParams({ name: file.name, columns: at("columns").value });
      const found = await fetched(`measurement?${given}`, { method: "POST", body: file });
      at("file").value = ""; // so that the same file can be opened again
      change("measurement", found.key, true);
    } catch (error) {
      busy(null);
      at("file").value = "";
      warn(error.message);
      say("The file was not read");
    }
  });
  at("remove").addEventListener("click", () => change("measurement", "", true));
  at("same-sweep").addEventListener("click", () => {
    const [low, high] = measurement.voltages;
    const inside = (name, value) => {
      const { min, max } = at(`c-${name}`);
      return String(Number(Math.min(Math.max(value, Number(min)), Number(max)).toFixed(3)));
    };
    Object.assign(now, { u_min: inside("u_min", low), u_max: inside("u_max", high) });
    fill();
    compute(true);
  });

  // ---- script and scheme ------------------------------------------------------------------------

  at("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(script);
      say("Copied the Python script of these numbers");
    } catch {
      document.querySelector(".script").open = true;
      getSelection().selectAllChildren(at("script"));
      say("The browser refuses to copy; the script is selected below");
    }
  });
  const setScheme = (scheme) => {
    root.style.colorScheme = scheme ?? "";
    at("scheme").textContent = Figures.isDark() ? "Light" : "Dark";
    at("scheme").setAttribute("aria-label", `${at("scheme").textContent} scheme`);
    Figures.paint();
  };
  // Browsers that store nothing throw an error.
  const stored = () => {
    try { return localStorage.getItem("synfab-scheme"); } catch { return null; }
  };
  at("scheme").addEventListener("click", () => {
    const scheme = Figures.isDark() ? "light" : "dark";
    try { localStorage.setItem("synfab-scheme", scheme); } catch { /* until the page is closed */ }
    setScheme(scheme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    setScheme(stored()));

  if (matchMedia("(max-width: 860px)").matches)
    for (const group of all(".group")) group.open = group.dataset.group === "Sweep";
  busy(Object.keys(config.panels));
  Figures.embed(read("figure-items"), config.ramps).then(() => {
    setScheme(stored());
    fill();
    compute(false);
  });
})();
