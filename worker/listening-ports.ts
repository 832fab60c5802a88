// Whether the processes of a network namespace wait on ports, read from /proc: a task without a health check gets connections
// only once it does.
import { readFile } from 'node:fs/promises'

export interface TargetPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly targetPort: number
}

/** Of /proc/net/tcp: LISTEN. Source: include/net/tcp_states.h of Linux. */
const listenState = '0A'
/** The same of SCTP, whichever the style of the socket. Source: include/net/sctp/constants.h of Linux. */
const sctpListening = 10

/** Whether all of them are waited on, at whatever address. `pid`: of a process in the namespace; one that is gone waits on nothing. */
export async function isListening(pid: number, ports: readonly TargetPort[]): Promise<boolean> {
  const [tcp, udp, sctp] = await Promise.all([
    waitedOn(pid, 'tcp'),
    waitedOn(pid, 'udp'),
    waitedOnSctp(pid),
  ])
  const waited = { tcp, udp, sctp: sctp ?? new Set() }
  return ports.every(({ protocol, targetPort }) => waited[protocol].has(targetPort))
}

/** Whether the kernel has SCTP for the network namespace of the process: loaded, where it is a module. */
export async function knowsSctp(pid: number): Promise<boolean> {
  return (await waitedOnSctp(pid)) !== undefined
}

/** Undefined: the kernel has no SCTP there. */
async function waitedOnSctp(pid: number): Promise<ReadonlySet<number> | undefined> {
  try {
    return sctpPorts(await readFile(`/proc/${pid}/net/sctp/eps`, 'utf8'))
  } catch {
    return undefined
  }
}

/** Of /proc/net/sctp/eps, a line an endpoint: two pointers, style, state, bucket, port, owner. Source: net/sctp/proc.c of Linux. */
export function sctpPorts(text: string): ReadonlySet<number> {
  const lines = text.split('\n').slice(1)
  return new Set(
    lines.flatMap((line) => {
      const [, , , state, , port] = line.trim().split(/\s+/)
      return Number(state) === sctpListening && port !== undefined ? [Number(port)] : []
    }),
  )
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
