// What all pages need: making elements out of text that strangers wrote, the theme, and paper.

const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);

/** Make an element. Children are elements or texts; a text never becomes markup. Empty children are left out. */
function make(kind, attributes = {}, ...children) {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) if (value) element.setAttribute(name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** The theme follows the system until it is chosen; the choice lasts as long as the page is open. */
function themes() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  find("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  });
}

/** On paper everything is open. */
function paper() {
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("main details:not([open])")];
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
  });
}

/** Charts are drawn without eval: Vega's expressions are interpreted. Styles are the page's, for the policy allows no others. */
async function charts() {
  for (const plot of document.querySelectorAll("[data-chart]")) {
    const spec = data.charts?.[plot.dataset.chart];
    if (!spec) continue;
    const tooltip = { disableDefaultStyle: true };
    await window.vegaEmbed(plot, spec, { ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip });
    plot.dataset.drawn = "yes";
  }
}

themes();
paper();
charts();
