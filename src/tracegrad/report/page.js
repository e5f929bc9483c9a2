const plots = JSON.parse(document.getElementById("plots").textContent);

function draw() {
  for (const [name, plot] of Object.entries(plots)) {
    const { data, layout } = dressed(plot);
    Plotly.react(document.getElementById(name), data, layout, config);
  }
}

draw();
dark.addEventListener("change", draw);
for (const name of Object.keys(plots)) document.getElementById(name).addEventListener("keydown", move);
