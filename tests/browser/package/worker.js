/** A worker of the user's own, which does other things too. */
import '/package/worker.js';
