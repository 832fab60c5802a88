// One daemon a host: two in one network namespace would undo each other's data plane, whatever their folders are.
import { createServer } from 'node:net'
import { SwarmError } from '../../proto/errors.ts'

/** An abstract socket belongs to its network namespace, and goes with the process that holds it however that ends. */
const defaultName = '\0tsswarm-daemon'

/** Held until the process ends or the answer is called. Errors: FAILED_PRECONDITION while another process holds it. */
export async function claimHost(name = defaultName): Promise<() => void> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', (err) => reject(refusal(err)))
    server.listen(name, resolve)
  })
  // It keeps no process alive that is done.
  server.unref()
  return () => server.close()
}

function refusal(err: Error): Error {
  if (!('code' in err) || err.code !== 'EADDRINUSE') return err
  return new SwarmError(
    'FAILED_PRECONDITION',
    'another tsswarm daemon runs on this host (in this network namespace): stop it first; a host has one, ' +
      'and `tsswarm lab up` makes several hosts of one machine',
    { cause: err },
  )
}
