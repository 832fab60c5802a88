// A thread of run.ts: simulates one seed after another as it is told.
import { parentPort } from 'node:worker_threads'
import type { WorkerTask } from './run.ts'
import { simulate } from './simulate.ts'

parentPort?.on('message', ({ seed, sim }: WorkerTask) => {
  parentPort?.postMessage(simulate(seed, sim))
})
