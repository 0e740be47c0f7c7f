import { showOrders } from "../order.js";
import { start } from "../page.js";

start("member", (user) => showOrders(`/users/${encodeURIComponent(user.sid)}/orders`));
