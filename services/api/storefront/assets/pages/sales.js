import { get } from "../api.js";
import { byID, clone, fill } from "../dom.js";
import { showProblem, start } from "../page.js";
import { formatDay, formatNumber, formatPrice, text } from "../text.js";

const dayLength = 24 * 60 * 60 * 1000; // milliseconds
const barWidth = 10; // of which 2 are space, in units of the chart, which is 100 high

const { days, product } = byID("filter").elements;
let sales;

start("member", async () => {
  days.addEventListener("change", () => load().catch(showProblem));
  product.addEventListener("change", show);
  await load();
});

async function load() {
  const wanted = days.value;
  const found = await get(`/sales?days=${wanted}`);
  if (wanted !== days.value) {
    return; // another period was chosen meanwhile
  }
  sales = found;
  const chosen = product.value;
  product.replaceChildren(product.options[0], ...sales.products.map((p) => new Option(p.name, p.product_id)));
  product.value = sales.products.some((p) => String(p.product_id) === chosen) ? chosen : "";
  byID("by-product").replaceChildren(...sales.products.map((p) => showRow(p.name, total(p.days))));
  byID("loading").hidden = true;
  byID("empty").hidden = sales.days.length > 0;
  byID("sales").hidden = sales.days.length === 0;
  show();
}

function total(sold) {
  return sold.reduce((sum, day) => ({ units: sum.units + day.units, revenue: sum.revenue + day.revenue }), { units: 0, revenue: 0 });
}

// show shows the sales of the chosen product, or of all, by day.
function show() {
  const chosen = sales.products.find((p) => String(p.product_id) === product.value);
  const sold = chosen?.days ?? sales.days;
  const { units, revenue } = total(sold);
  byID("chart-title").textContent = text("sales.of", { name: chosen?.name ?? text("sales.all_products") });
  byID("revenue").textContent = formatPrice(revenue);
  byID("units").textContent = text("sales.sold", { count: formatNumber(units) });
  for (const end of ["from", "to"]) {
    byID(end).dateTime = sales[end];
    byID(end).textContent = formatDay(sales[end]);
  }
  byID("by-day").replaceChildren(...sold.map((day) => showRow(formatDay(day.day), day)));
  draw(sold);
}

function showRow(name, { units, revenue }) {
  const row = clone("row");
  fill(row, { name, units: formatNumber(units), revenue: formatPrice(revenue) });
  return row;
}

// draw draws a bar for each day on which something was sold. The table beneath has the same in words.
function draw(sold) {
  const first = Date.parse(sales.from);
  const count = (Date.parse(sales.to) - first) / dayLength + 1;
  const highest = Math.max(...sold.map((day) => day.revenue));
  byID("highest").textContent = text("sales.highest", { money: formatPrice(highest) });
  const chart = byID("chart");
  chart.setAttribute("viewBox", `0 0 ${count * barWidth} 100`);
  chart.replaceChildren(...sold.map((day) => {
    const height = highest === 0 ? 1 : Math.max(day.revenue / highest * 100, 1); // what was free shows as well
    const bar = element("rect", {
      x: (Date.parse(day.day) - first) / dayLength * barWidth + 1, y: 100 - height, width: barWidth - 2, height,
    });
    const title = element("title", {});
    title.textContent = `${formatDay(day.day)}: ${text("sales.sold", { count: formatNumber(day.units) })}, ${formatPrice(day.revenue)}`;
    bar.append(title);
    return bar;
  }));
}

function element(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) {
    made.setAttribute(attribute, value);
  }
  return made;
}
