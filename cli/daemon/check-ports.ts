// Whether an address can be listened on, asked before anything is changed.
import { createServer } from 'node:net'
import { SwarmError } from '../../proto/errors.ts'
import { formatHostPort, type HostPort } from './addresses.ts'

/** Errors: ADDRESS_IN_USE, INVALID_ARGUMENT naming flag and address. */
export async function checkListen(at: HostPort, flag: string): Promise<void> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: at.host, port: at.port }, resolve)
    })
  } catch (err) {
    const where = formatHostPort(at)
    if ((err as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      throw new SwarmError(
        'ADDRESS_IN_USE',
        `cannot listen on ${where}: the address is in use. Stop the program that holds it, or choose another with ${flag}`,
        { cause: err },
      )
    }
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `cannot listen on ${where}: ${err instanceof Error ? err.message : String(err)}. ` +
        `Choose an address of this host with ${flag}`,
      { cause: err },
    )
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
}
