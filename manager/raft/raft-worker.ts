// The Raft thread's entry: nothing but the host on the thread's own port. Bundled as a file of its own.
import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '../../proto/lib/assert.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { RaftHost } from './raft-host.ts'
import type { FromThread, Port, ThreadConfig, ToThread } from './thread-messages.ts'

const port = parentPort
invariant(port !== null, 'raft-worker runs in a worker thread')

const host = new RaftHost({
  config: workerData as ThreadConfig,
  port: port as unknown as Port<FromThread, ToThread>,
  clock: systemClock,
  random: systemRandom,
  // The thread ends once nothing holds it: its files and sockets are closed by then.
  onEnded: () => port.close(),
})
await host.start()
