"use strict";
const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
const dark = matchMedia("(prefers-color-scheme: dark)");

function dressed(plot) {
  const style = getComputedStyle(document.documentElement);
  const [ink, line, paper] = ["--ink", "--line", "--raised"].map((name) => style.getPropertyValue(name).trim());
  const layout = {
    ...plot.layout,
    font: { color: ink, size: 12, family: "system-ui, sans-serif" },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: ink },
  };
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
    layout[name] = { gridcolor: line, zerolinecolor: line, linecolor: line, ...layout[name] };
  }
  // Blue stands out from white paper, sky blue from dark: both are in the palette, so they swap.
  const swap = { "#0072B2": "#56B4E9", "#56B4E9": "#0072B2" };
  const shown = JSON.stringify(plot.data, (key, value) => (dark.matches && key === "color" && swap[value]) || value);
  const inked = (trace) => (trace.meta === "ink" ? { ...trace, marker: { ...trace.marker, color: ink } } : trace);
  return { data: JSON.parse(shown).map(inked), layout };
}

function move(event) {
  const box = event.currentTarget;
  if (event.ctrlKey || event.metaKey || event.altKey || event.target !== box) return;
  const axis = box._fullLayout.xaxis;
  const [low, high] = axis.range;
  const width = high - low;
  const ranges = {
    ArrowLeft: [low - width / 8, high - width / 8], ArrowRight: [low + width / 8, high + width / 8],
    "+": [low + width / 4, high - width / 4], "-": [low - width / 2, high + width / 2],
  };
  if (event.key === "0") Plotly.relayout(box, { "xaxis.autorange": true });
  else if (event.key in ranges) Plotly.relayout(box, { "xaxis.range": ranges[event.key] });
  else return;
  event.preventDefault();
}
