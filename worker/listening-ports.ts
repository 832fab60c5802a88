// Whether the processes of a network namespace wait on ports, read from /proc: a task without a health check gets connections
// only once it does.
import { readFile } from 'node:fs/promises'

export interface TargetPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly targetPort: number
}

/** Of /proc/net/tcp: LISTEN. Source: include/net/tcp_states.h of Linux. */
const listenState = '0A'

/** Whether all of them are waited on, at whatever address. `pid`: of a process in the namespace; one that is gone waits on nothing. */
export async function isListening(pid: number, ports: readonly TargetPort[]): Promise<boolean> {
  const [tcp, udp] = await Promise.all([waitedOn(pid, 'tcp'), waitedOn(pid, 'udp')])
  return ports.every(({ protocol, targetPort }) => {
    if (protocol === 'sctp') return true
    return (protocol === 'tcp' ? tcp : udp).has(targetPort)
  })
}

async function waitedOn(pid: number, protocol: 'tcp' | 'udp'): Promise<ReadonlySet<number>> {
  const texts = await Promise.all(
    [protocol, `${protocol}6`].map((name) =>
      readFile(`/proc/${pid}/net/${name}`, 'utf8').catch(() => ''),
    ),
  )
  return new Set(texts.flatMap((text) => portsOf(text, protocol)))
}

function portsOf(text: string, protocol: 'tcp' | 'udp'): readonly number[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state] = line.trim().split(/\s+/)
      const port = Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16)
      if (Number.isNaN(port) || (protocol === 'tcp' && state !== listenState)) return []
      return [port]
    })
}
