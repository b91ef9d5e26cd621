export { CONTROL_PORT } from "../api/index.ts";
