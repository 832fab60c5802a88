// What has ended still has its ports of the host until it is released. Its end is told before that, so the one that takes its
// place may be there already.
import type { HostPort } from '../network-attacher.ts'
import type { Container } from './container.ts'

type Ended = Pick<Container, 'released'> & {
  readonly record: Pick<Container['record'], 'config' | 'exit'>
}

/** Until those that have ended have given back what is asked for, or have failed to. */
export async function portsGivenBack(
  asked: readonly HostPort[],
  containers: Iterable<Ended>,
): Promise<void> {
  const wanted = new Set(asked.filter((port) => port.publishedPort !== 0).map(keyOf))
  if (wanted.size === 0) return
  const holders = [...containers].filter(
    ({ record }) => record.exit !== undefined && portsOf(record).some((key) => wanted.has(key)),
  )
  await Promise.all(holders.map((one) => one.released))
}

function portsOf({ config }: Ended['record']): readonly string[] {
  return config.network.kind === 'attached' ? config.network.ports.map(keyOf) : []
}

function keyOf({ protocol, publishedPort }: HostPort): string {
  return `${protocol}/${publishedPort}`
}
