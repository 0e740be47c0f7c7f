import { showOrders } from "../order.js";
import { start } from "../page.js";

start("admin", () => showOrders("/orders", { buyers: true }));
