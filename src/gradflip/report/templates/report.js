// Draws the charts in the page's colours, restricted to the ticked values, such as widths, C0s or activations.
(function () {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const filters = document.querySelectorAll(".filters fieldset");

  // one spelling of a value, a number or a word: "1e+06" and 1000000 are the same width
  function spelled(value) {
    return value === "" || isNaN(Number(value)) ? String(value) : String(Number(value));
  }

  // column -> the values that are ticked; a column without boxes is not filtered
  function ticked() {
    const chosen = {};
    filters.forEach(function (group) {
      chosen[group.dataset.column] = Array.from(group.querySelectorAll("input:checked"), (box) => spelled(box.value));
    });
    return chosen;
  }

  // a null column does not apply
  function shown(at, chosen) {
    return Object.keys(at).every((column) => at[column] === null || !(column in chosen) || chosen[column].includes(spelled(at[column])));
  }

  function drawFigure(figure, chosen, config) {
    const curves = figure.dataset.curves;
    const boxes = Array.from(figure.querySelectorAll(".chart"));
    const kept = boxes.filter((box) => shown(JSON.parse(box.dataset.at), chosen));
    const some = kept.length && shown(JSON.parse(figure.dataset.at), chosen) && !(curves in chosen && !chosen[curves].length);
    figure.querySelector(".nothing").hidden = some;
    figure.querySelector(".panels").hidden = !some;
    boxes.forEach((box) => { box.hidden = !kept.includes(box); });
    if (!some) return;
    kept.forEach(function (box) {
      const spec = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
      if (curves in chosen) {
        const only = { filter: { field: "curve", oneOf: chosen[curves] } };
        spec.layer.filter((layer) => layer.encoding.color && layer.encoding.color.field === "curve").forEach(function (layer) { layer.transform = [only]; });
      }
      let target = box.querySelector(".drawn");
      if (!target) { target = document.createElement("div"); target.className = "drawn"; box.appendChild(target); }
      vegaEmbed(target, spec, { config: config, actions: false, renderer: "svg" });
    });
  }

  function draw() {
    const ink = dark.matches ? "#c9d1d9" : "#333b44", line = dark.matches ? "#3a424b" : "#dde2e7";
    const config = { background: "transparent", font: "system-ui, sans-serif", view: { stroke: null },
      axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line },
      legend: { labelColor: ink, titleColor: ink }, title: { color: ink } };
    const chosen = ticked();
    document.querySelectorAll("figure").forEach((figure) => drawFigure(figure, chosen, config));
    document.querySelectorAll("tr[data-at]").forEach(function (row) { row.hidden = !shown(JSON.parse(row.dataset.at), chosen); });
  }

  draw();
  dark.addEventListener("change", draw);
  filters.forEach((group) => group.addEventListener("change", draw));
})();
