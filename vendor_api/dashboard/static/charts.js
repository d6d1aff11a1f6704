// Draws every [data-chart] from its JSON: {"x": [seconds], "series": [{"label", "values", "unit"}]}.
(() => {
  const drawn = new Map();
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const lines = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"];

  function describe(series) {
    return [{}].concat(series.map((each, index) => ({
      label: each.unit ? `${each.label}, ${each.unit}` : each.label,
      stroke: ink(lines[index % lines.length]),
      width: 2,
      scale: each.unit || "y",
      points: { show: false },
    })));
  }

  function axes(series) {
    const look = { stroke: ink("--faint"), grid: { stroke: ink("--line"), width: 1 }, ticks: { show: false } };
    const units = [...new Set(series.map((each) => each.unit || "y"))];
    return [look].concat(units.map((unit, index) => ({
      ...look, scale: unit, side: index ? 1 : 3, size: 56,
      grid: index ? { show: false } : look.grid,
    })));
  }

  function options(element, document_) {
    const zone = element.dataset.zone || "UTC";
    return {
      width: Math.max(280, element.clientWidth),
      height: Number(element.dataset.height) || 220,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
      series: describe(document_.series),
      axes: axes(document_.series),
      cursor: { drag: { x: true, y: false } },
      legend: { live: true },
    };
  }

  async function load(element) {
    const answer = await fetch(element.dataset.chart, {
      headers: { accept: "application/json", "hx-request": "true" },
      credentials: "same-origin",
    });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) { element.textContent = "The chart cannot be read now."; return; }
    const document_ = await answer.json();
    const data = [document_.x, ...document_.series.map((each) => each.values)];
    const known = drawn.get(element);
    const same = known && known.series.length === data.length;
    if (same) { known.setData(data); return; }
    if (known) known.destroy();
    element.textContent = "";
    drawn.set(element, new uPlot(options(element, document_), data, element));
  }

  function begin(element) {
    if (drawn.has(element) || element.dataset.begun) return;
    element.dataset.begun = "yes";
    load(element);
    const seconds = Number(element.dataset.refresh);
    if (seconds) {
      const timer = setInterval(() => {
        if (!element.isConnected) { clearInterval(timer); drawn.delete(element); return; }
        if (!document.hidden) load(element);
      }, seconds * 1000);
    }
  }

  const beginAll = () => document.querySelectorAll("[data-chart]").forEach(begin);
  beginAll();
  document.addEventListener("htmx:after:swap", beginAll);
  document.addEventListener("vl2v:theme", () => {
    drawn.forEach((plot, element) => { plot.destroy(); drawn.delete(element); load(element); });
  });
  addEventListener("resize", () => drawn.forEach((plot, element) => {
    plot.setSize({ width: Math.max(280, element.clientWidth), height: plot.height });
  }));
})();
