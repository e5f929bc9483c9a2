const at = (name) => document.getElementById(name);
const fields = { curves: null, raster: null, factors: null }; // the plots, as they were last told
let standing = null;
const history = []; // of a stream: where it stood, each time that was told

function streams() {
  return standing.live !== null && standing.live.batches === 0;
}

function percent(share) {
  const none = streams() ? "no label yet" : "none: targets are values";
  return share === null ? none : `${(100 * share).toFixed(1)} %`;
}

function points() {
  if (streams()) return history.map(({ batch, loss, accuracy }) => ({ at: batch, loss, accuracy }));
  return standing.epochs.map((epoch) => ({ at: epoch.epoch, loss: epoch.test_loss, accuracy: epoch.test_accuracy }));
}

function place(change) {
  if (streams()) return change.batch;
  return change.epoch - 1 + (standing.live ? change.batch / standing.live.batches : 0);
}

function curves() {
  const shown = points();
  const [what, over] = streams() ? ["", "step"] : ["test ", "epoch"];
  const drawn = { x: shown.map((point) => point.at), mode: "lines+markers", type: "scatter", xaxis: "x" };
  const [blue, red] = ["#0072B2", "#D55E00"];
  const marks = standing.changes.map((change) => ({
    type: "line", xref: "x", yref: "paper", y0: 0, y1: 1, line: { color: "#CC79A7", width: 1, dash: "dot" },
    x0: place(change),
  })).map((mark) => ({ ...mark, x1: mark.x0 }));
  return {
    data: [
      { ...drawn, y: shown.map((point) => point.loss), name: `${what}loss`, line: { color: blue }, marker: { color: blue } },
      { ...drawn, y: shown.map((point) => point.accuracy), name: `${what}accuracy`, yaxis: "y2", line: { color: red, dash: "dash" }, marker: { color: red } },
    ],
    layout: {
      margin: { l: 56, r: 12, t: 12, b: 44 }, showlegend: false, height: 380, shapes: marks,
      xaxis: { title: { text: over }, anchor: "y2", ...(streams() ? {} : { range: [0, standing.of + 0.5] }) },
      yaxis: { title: { text: `${what}loss` }, domain: [0.55, 1] },
      yaxis2: { title: { text: `${what}accuracy` }, domain: [0, 0.45], tickformat: ".0%" },
    },
  };
}

function draw(name) {
  if (fields[name] === null) return;
  const { data, layout } = dressed(fields[name]);
  Plotly.react(at(name), data, layout, config);
}

function rates() {
  const { rate, changes } = standing;
  const input = at("learning-rate");
  const made = changes.filter((change) => change.name === "learning_rate");
  const now = made.length ? made[made.length - 1].value : rate;
  if (!input.form.contains(document.activeElement)) input.value = now; // who is in the form may be about to send it
  at("changes").textContent = told(rate, made);
}

function told(first, made) {
  const said = made.map((c) => `${c.value} after ${streams() ? `step ${c.batch}` : `epoch ${c.epoch}, batch ${c.batch}`}`);
  return said.length ? `It was ${first}; then ${said.join("; ")}.` : "";
}

function row({ name }) {
  const form = document.createElement("form");
  form.className = "number";
  const field = document.createElement("input");
  Object.assign(field, { id: `number-${name}`, type: "text", inputMode: "decimal", required: true, autocomplete: "off" });
  field.setAttribute("aria-describedby", `about-${name}`);
  const label = Object.assign(document.createElement("label"), { htmlFor: field.id, textContent: name });
  const button = Object.assign(document.createElement("button"), { textContent: "Change" });
  button.setAttribute("aria-label", `Change ${name}`);
  const about = Object.assign(document.createElement("p"), { id: `about-${name}` });
  form.append(label, field, button, about);
  form.addEventListener("submit", (event) => changed(event, name, field));
  field.addEventListener("input", () => field.setCustomValidity(""));
  return form;
}

async function changed(event, name, field) {
  event.preventDefault();
  const value = Number(field.value.replace(",", "."));
  field.setCustomValidity(Number.isFinite(value) ? "" : "A number, such as 0.1.");
  if (!field.reportValidity()) return;
  document.activeElement.blur();
  const answer = await ask({ number: [name, value] });
  at("refused").textContent = answer.ok ? "" : await answer.text();
  numbers();
}

function numbers() {
  const { numbers, changes, refused } = standing;
  const names = numbers.map((number) => number.name);
  const rows = at("numbers");
  if (rows.dataset.names !== names.join()) {
    rows.replaceChildren(...numbers.map(row));
    rows.dataset.names = names.join();
  }
  const lines = [];
  for (const { name, now, value, what, unit, bounds } of numbers) {
    const field = at(`number-${name}`);
    if (!field.form.contains(document.activeElement)) field.value = now;
    at(`about-${name}`).textContent = `${unit}: ${what}; ${bounds}`;
    const line = told(value, changes.filter((change) => change.name === name));
    if (line) lines.push(`${name}: ${line}`);
  }
  at("made").textContent = lines.join(" ") || (names.length ? "" : "There is none that this run says may change.");
  const last = JSON.stringify(refused);
  if (refused && last !== rows.dataset.refused) at("refused").textContent = `${refused.name} did not become ${refused.value}. ${refused.why}`;
  rows.dataset.refused = last;
}

function show() {
  const { live, epochs, of, paused, finished } = standing;
  const word = finished ? "finished" : paused ? "paused" : "running";
  if (streams()) stream(word);
  else {
    const done = finished ? of : live ? live.epoch - 1 + live.batch / live.batches : epochs.length;
    at("state").textContent = `${standing.rule} on ${standing.task}: ${word}, ${epochs.length} of ${of} epochs done.`;
    at("progress").value = done / of;
  }
  at("pause").textContent = paused ? "Resume" : "Pause";
  if (live) {
    at("loss").textContent = live.loss === null ? "no label yet" : live.loss.toPrecision(4);
    at("accuracy").textContent = percent(live.accuracy);
    at("rate").textContent = percent(live.rate);
    at("speed").textContent = Math.round(1e6 / live.microseconds_per_step).toLocaleString("en");
  }
  rates();
  numbers();
  for (const control of document.querySelectorAll("button, input")) control.disabled = finished;
  fields.curves = curves();
  draw("curves");
}

function stream(word) {
  const { live, rule } = standing;
  at("state").textContent = `${rule} on a stream: ${word}, ${live.batch.toLocaleString("en")} steps learned.`;
  at("progress").hidden = true;
  at("loss-of").textContent = "loss of the last labels";
  at("accuracy-of").textContent = "accuracy of the last labels";
  at("speed-of").textContent = "steps per second";
  at("curves-text").textContent = "Loss and accuracy of the last labels, since this page was opened.";
  at("curves").setAttribute("aria-label", "Loss and accuracy of the last labels by step");
  if (!history.length || history[history.length - 1].batch !== live.batch) history.push(live);
  if (history.length > 2000) history.splice(0, 1000);
}

function look(seen) {
  fields.raster = seen.raster;
  const what = standing && streams() ? "The last steps of the stream" : "The first sequence of the batch of now";
  at("raster-text").textContent = `${what}. ${seen.raster.alt}`;
  at("neuron").max = seen.neurons - 1;
  at("line").max = seen.lines - 1;
  const told = typeof seen.factors === "string";
  fields.factors = told ? null : seen.factors;
  at("synapse").hidden = told;
  at("factors-text").textContent = told ? seen.factors : seen.factors.alt;
  if (!told && !at("synapse").contains(document.activeElement)) [at("neuron").value, at("line").value] = seen.synapse;
  draw("raster");
  draw("factors");
}

function ask(what) {
  return fetch("control", { method: "POST", body: JSON.stringify(what) });
}

function submitted(event, what) {
  event.preventDefault();
  document.activeElement.blur();
  ask(what);
}

const source = new EventSource("events");
source.onmessage = (event) => {
  standing = JSON.parse(event.data);
  show();
  if (standing.finished) setTimeout(() => source.close(), 2000);
};
source.addEventListener("snapshot", (event) => look(JSON.parse(event.data)));
source.onerror = () => { if (standing && standing.finished) source.close(); else at("state").textContent = "The page is no longer served; the training goes on."; };
at("pause").addEventListener("click", () => ask({ paused: !standing.paused }));
at("steer").addEventListener("submit", (event) => {
  const rate = Number(at("learning-rate").value.replace(",", "."));
  at("learning-rate").setCustomValidity(rate > 0 && Number.isFinite(rate) ? "" : "A positive number, such as 0.001.");
  if (at("learning-rate").reportValidity()) submitted(event, { learning_rate: rate });
  else event.preventDefault();
});
at("learning-rate").addEventListener("input", () => at("learning-rate").setCustomValidity(""));
at("synapse").addEventListener("submit", (event) => submitted(event, { synapse: [Number(at("neuron").value), Number(at("line").value)] }));
at("strongest").addEventListener("click", () => ask({ synapse: null }));
dark.addEventListener("change", () => Object.keys(fields).forEach(draw));
for (const name of Object.keys(fields)) at(name).addEventListener("keydown", move);
