// Lists of orders: the user's own, and those of all users.

import { post } from "./api.js";
import { byID, clone, confirmed, fill, notify, part } from "./dom.js";
import { onClick } from "./form.js";
import { pagedList } from "./list.js";
import { showProblem } from "./page.js";
import { formatNumber, formatPrice, putMoment, text } from "./text.js";

// showOrders lists the orders at a path of the API, with their buyers if they may be other users.
export function showOrders(path, { buyers = false } = {}) {
  const begin = pagedList(byID("orders"), { name: "orders", empty: "orders.empty", render: (order) => showOrder(order, buyers) });
  return begin(path);
}

function showOrder(order, buyers) {
  const entry = clone("order");
  fill(entry, { title: text("order.title", { id: order.id }), total: formatPrice(order.total_price) });
  putMoment(part(entry, "time"), order.created_at);
  if (buyers) {
    fill(entry, { buyer: text("order.buyer", { name: order.username ?? order.user_sid }) });
    part(entry, "buyer").title = order.user_sid;
    part(entry, "buyer").hidden = false;
  }
  part(entry, "lines").append(...order.items.map(showLine));
  putStatus(entry, order.status);
  onClick(part(entry, "cancel"), () => cancel(order, entry), showProblem);
  return entry;
}

function showLine(item) {
  const line = clone("order-line");
  const product = part(line, "product");
  product.textContent = item.name;
  product.href = `/products/${item.product_id}`;
  fill(line, { sum: `${formatNumber(item.quantity)} × ${formatPrice(item.unit_price)}` });
  return line;
}

function putStatus(entry, status) {
  const badge = part(entry, "status");
  badge.textContent = text(`order.${status}`);
  badge.classList.toggle("good", status === "placed");
  part(entry, "cancel").hidden = status !== "placed";
}

async function cancel(order, entry) {
  const title = text("order.cancel_title", { id: order.id });
  if (!await confirmed(title, text("order.cancel_question"), text("order.cancel"))) {
    return;
  }
  try {
    await post(`/orders/${order.id}/cancel`);
  } catch (error) {
    if (error.code !== "order_already_cancelled") { // in another tab, or by an admin: it is as wanted
      throw error;
    }
  }
  putStatus(entry, "cancelled");
  part(entry, "title").focus(); // the button that had it is gone
  notify(text("order.was_cancelled", { id: order.id }));
}
