/**
 * What the measurement `http` of the suite `swap` runs on the processors of its machine: an HTTP server each, over one
 * session store.
 */
// Whoever calls an object has loaded what serves it.
import '@k42/clustered/standard';

export { beBusy, closeServer, listenHere } from './swap/http/server.ts';
