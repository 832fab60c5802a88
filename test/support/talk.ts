// Servers that tell each client their name and its address, and questions to them, in network namespaces: one probe
// (probe/probe.ts) in each namespace does both, so that a question costs no process and a server is never late. They end
// with `endTalks`.
import { type Probe, startProbe } from './probe/probe.ts'
import type { Server } from './probe/protocol.ts'

export type Transport = Server['transport']

/** By what enters their namespaces. */
const probes = new Map<string, Promise<Probe>>()

/** Whoever is to answer has so long: the machine may be busy. */
const patienceMs = 20_000
/** Whoever is not to answer gets so long for it. */
const briefMs = 1_500

/** The one of this namespace, for what is not below. */
export function probeIn(enter: readonly string[]): Promise<Probe> {
  const key = enter.join(' ')
  const known = probes.get(key)
  if (known !== undefined) return known
  const started = startProbe(key, enter, 'ask')
  probes.set(key, started)
  return started
}

/** Ends all servers, and who asked. */
export async function endTalks(): Promise<void> {
  const all = [...probes.values()]
  probes.clear()
  await Promise.all(all.map(async (starting) => await (await starting).end()))
}

/** The same in one namespace, which would live on with them. */
export async function endTalksIn(enter: readonly string[]): Promise<void> {
  const key = enter.join(' ')
  const starting = probes.get(key)
  probes.delete(key)
  await (await starting)?.end()
}

export interface Talking {
  /** Resolves when its port is free. */
  stop(): Promise<void>
}

/** A server that answers each connection or datagram with its own name and the address of its client: `web 10.1.0.5`. */
export async function serve(
  enter: readonly string[],
  where: `${Transport}:${number}`,
  name: string,
  address?: string,
): Promise<Talking> {
  const [transport, port] = where.split(':')
  const server: Server = {
    transport: transport === 'tcp' ? 'tcp' : 'udp',
    port: Number(port),
    ...(address === undefined ? {} : { address }),
  }
  const probe = await probeIn(enter)
  await probe.listen(server, name)
  return { stop: () => probe.unlisten(server) }
}

export type Where = readonly [transport: Transport, address: string, port: number]

async function asked(
  enter: readonly string[],
  [kind, to, port]: Where,
  times: number,
  withinMs: number,
): Promise<readonly string[]> {
  const probe = await probeIn(enter)
  const question = { kind, to, port }
  return await probe.ask(
    Array.from({ length: times }, () => question),
    withinMs,
  )
}

/** What the server says to a client in the namespace, as soon as it does; the code of an error when it refuses. */
export async function ask(
  enter: readonly string[],
  transport: Transport,
  address: string,
  port: number,
): Promise<string> {
  const [answer = ''] = await asked(enter, [transport, address, port], 1, patienceMs)
  return answer
}

/** The same for what may answer nothing: '' after a short time, and when it refuses. */
export async function askBriefly(
  enter: readonly string[],
  transport: Transport,
  address: string,
  port: number,
): Promise<string> {
  const [answer = ''] = await asked(enter, [transport, address, port], 1, briefMs)
  return isRefusal(answer) ? '' : answer
}

const isRefusal = (answer: string): boolean => /^E[A-Z]+$/.test(answer)

/** Asks ten times at once, until each of the expected answers came, at most a hundred times; all answers, sorted. */
export async function answers(
  enter: readonly string[],
  where: Where,
  expected: readonly string[],
): Promise<readonly string[]> {
  const seen = new Set<string>()
  for (let round = 0; round < 10; round++) {
    for (const answer of await asked(enter, where, 10, patienceMs)) seen.add(answer)
    if (expected.every((answer) => seen.has(answer))) break
  }
  return [...seen].sort()
}

/** Whether ten that ask at once get no answer, or are refused. */
export async function isSilent(enter: readonly string[], where: Where): Promise<boolean> {
  const all = await asked(enter, where, 10, briefMs)
  return all.every((answer) => answer === '' || isRefusal(answer))
}
