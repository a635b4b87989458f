// Starts the module of the page /verify, which adds this script when it is opened.
import init from "./verify.js";

init();
