"use strict";
const at = (name) => document.getElementById(name);
const dark = matchMedia("(prefers-color-scheme: dark)");
let standing = null;

function percent(share) {
  return share === null ? "none: targets are values" : `${(100 * share).toFixed(1)} %`;
}

function curves() {
  const style = getComputedStyle(document.documentElement);
  const [ink, line] = ["--ink", "--line"].map((name) => style.getPropertyValue(name).trim());
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line };
  const x = standing.epochs.map((epoch) => epoch.epoch);
  const drawn = { x, mode: "lines+markers", type: "scatter" };
  const blue = dark.matches ? "#56B4E9" : "#0072B2";
  const data = [
    { ...drawn, y: standing.epochs.map((epoch) => epoch.test_loss), name: "test loss", line: { color: blue } },
    { ...drawn, y: standing.epochs.map((epoch) => epoch.test_accuracy), name: "test accuracy", yaxis: "y2", line: { color: "#D55E00", dash: "dash" } },
  ];
  Plotly.react(at("curves"), data, {
    font: { color: ink }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 56, r: 12, t: 12, b: 44 }, showlegend: false, height: 420,
    xaxis: { ...axis, title: { text: "epoch" }, anchor: "y2" },
    yaxis: { ...axis, title: { text: "test loss" }, domain: [0.55, 1] },
    yaxis2: { ...axis, title: { text: "test accuracy" }, domain: [0, 0.45], tickformat: ".0%" },
  }, { responsive: true, displaylogo: false });
}

function show() {
  const { live, epochs, of, paused, finished } = standing;
  const done = finished ? of : live ? live.epoch - 1 + live.batch / live.batches : epochs.length;
  const word = finished ? "finished" : paused ? "paused" : "running";
  at("state").textContent = `${standing.rule} on ${standing.task}: ${word}, ${epochs.length} of ${of} epochs done.`;
  at("progress").value = done / of;
  at("pause").textContent = paused ? "Resume" : "Pause";
  at("pause").disabled = finished;
  if (live) {
    at("loss").textContent = live.loss.toPrecision(4);
    at("accuracy").textContent = percent(live.accuracy);
    at("rate").textContent = percent(live.rate);
    at("speed").textContent = Math.round(1e6 / live.microseconds_per_step).toLocaleString("en");
  }
  curves();
}

const source = new EventSource("events");
source.onmessage = (event) => {
  standing = JSON.parse(event.data);
  show();
  if (standing.finished) source.close();
};
source.onerror = () => { if (!standing || !standing.finished) at("state").textContent = "The page is no longer served; the training goes on."; };
at("pause").addEventListener("click", () => fetch("control", { method: "POST", body: JSON.stringify({ paused: !standing.paused }) }));
dark.addEventListener("change", () => standing && curves());
