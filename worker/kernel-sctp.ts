// Whether this kernel has SCTP: many are built without, and then no program can wait on such a port.
import { readFile } from 'node:fs/promises'
import { SwarmError } from '../proto/errors.ts'
import type { RunCommand } from '../proto/lib/command.ts'
import type { PortSpec } from '../proto/spec/service-spec.ts'

const protocolsFile = '/proc/net/protocols'

/** Asks the kernel, whose module is loaded where there is one, as a program that opens a socket would do. */
export async function hasSctp(run: RunCommand, file = protocolsFile): Promise<boolean> {
  if (await isListed(file)) return true
  await run(['modprobe', '-q', 'sctp']).catch(() => {})
  return await isListed(file)
}

async function isListed(file: string): Promise<boolean> {
  return /^SCTP /m.test(await readFile(file, 'utf8').catch(() => ''))
}

/** Errors: UNSUPPORTED when a port is of SCTP and the kernel has none. */
export async function requireSctp(
  ports: readonly Pick<PortSpec, 'protocol' | 'targetPort'>[],
  has: () => Promise<boolean>,
): Promise<void> {
  const port = ports.find(({ protocol }) => protocol === 'sctp')
  if (port === undefined || (await has())) return
  throw new SwarmError(
    'UNSUPPORTED',
    `port ${port.targetPort}/sctp cannot be served on this node: its kernel has no SCTP. ` +
      'Keep the service to nodes that have it, or use a kernel with the module sctp (those of Debian and Ubuntu have it)',
  )
}
