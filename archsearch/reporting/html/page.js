"use strict";
(() => {
  const root = document.documentElement;
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const shown = new Map(plots.map((plot) => [plot.name, 0]));
  const errors = [];
  const touch = matchMedia("(pointer: coarse)").matches;

  function note(error) {
    errors.push(String(error));
    root.dataset.errors = errors.join("; ");
  }
  addEventListener("error", (event) => note(event.message));
  addEventListener("unhandledrejection", (event) => note(event.reason));

  // Names of colours, such as "@ink", are those of the style sheet. Only where a colour stands: a value of a
  // hyperparameter may begin with "@" too.
  function painted(value, style, colour = false) {
    if (typeof value === "string") {
      return colour && value[0] === "@" ? style.getPropertyValue("--" + value.slice(1)).trim() || value : value;
    }
    if (Array.isArray(value)) {
      return value.map((each) => painted(each, style, colour));
    }
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, painted(each, style, name.includes("color"))]));
    }
    return value;
  }

  function laidOut(layout, width, height, style) {
    const size = width < 260 ? 10 : width < 520 ? 12 : 13;
    const axis = {
      gridcolor: "@grid", linecolor: "@faint", zerolinecolor: "@grid", automargin: true, ticks: "outside", tickcolor: "@faint",
    };
    const whole = {
      width, height,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size, color: "@ink" },
      margin: { l: 56, r: 14, t: 14, b: 46 },
      legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", font: { size } },
      showlegend: true,
      hovermode: "closest",
      hoverlabel: { bgcolor: "@card", bordercolor: "@faint", font: { color: "@ink" } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "@faint", activecolor: "@blue" },
      dragmode: touch ? false : "zoom", // a finger scrolls the page
      ...layout,
      margin: { l: 56, r: 14, t: 14, b: 46, ...(layout.margin || {}) },
    };
    for (const name of Object.keys(whole)) {
      if (/^[xy]axis/.test(name)) whole[name] = { ...axis, ...whole[name], title: { ...whole[name].title, font: { size } } };
    }
    return painted(whole, style);
  }

  function draw(plot) {
    const element = document.getElementById("plot-" + plot.name);
    const view = plot.views[shown.get(plot.name)];
    const style = getComputedStyle(root);
    // Copies: plotly.js keeps and completes what it is given.
    const data = painted(structuredClone(view.data), style);
    const parallel = data.some((trace) => trace.type === "parcoords");
    const layout = structuredClone(view.layout);
    const printing = root.classList.contains("printing");
    if (parallel) {
      layout.margin = { l: 54, r: 60, t: 96, b: 22 };
      if (element.clientWidth < 62 * data[0].dimensions.length) Object.assign(data[0], { labelangle: -45, tickfont: { size: printing ? 8 : 10 } });
    }
    // On paper two to a page.
    const height = printing && element.clientWidth > 500 && plot.height > 320 ? Math.round(0.72 * plot.height) : plot.height;
    element.style.height = height + "px";
    return Plotly.react(element, data, laidOut(layout, element.clientWidth, height, style), {
      displaylogo: false,
      displayModeBar: touch || parallel || plot.height < 300 ? false : "hover",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
      toImageButtonOptions: { filename: plot.name, scale: 2 },
    }).then(() => { element.dataset.drawn = "yes"; element.dataset.width = element.clientWidth; });
  }

  // One after another, so that the page can be scrolled meanwhile.
  function drawAll(number = 0) {
    root.dataset.drawn = number + " of " + plots.length;
    if (number === plots.length) return;
    draw(plots[number]).catch(note).finally(() => setTimeout(() => drawAll(number + 1)));
  }

  function drawAtOnce() {
    for (const plot of plots) draw(plot).catch(note);
  }

  for (const button of document.querySelectorAll(".choice button")) {
    button.addEventListener("click", () => {
      for (const each of button.parentElement.children) each.setAttribute("aria-pressed", String(each === button));
      shown.set(button.dataset.plot, Number(button.dataset.view));
      draw(plots.find((plot) => plot.name === button.dataset.plot)).catch(note);
    });
  }

  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const plot of plots) {
        const element = document.getElementById("plot-" + plot.name);
        if (element.clientWidth !== Number(element.dataset.width)) draw(plot).catch(note);
      }
    }, 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAtOnce);
  let opened = [];
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    opened = [...document.querySelectorAll("details.rung:not([open])")];
    for (const details of opened) details.open = true;
    drawAtOnce();
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    for (const details of opened) details.open = false;
    drawAtOnce();
  });
  drawAll();
})();
