// What tests of overlay networks in a lab need: tasks with their addresses, probes in their containers, and tables of
// questions with the answers that are right.
import { withDaemon } from '../../cli/lab/lab.ts'
import { hostNamespace } from '../../cli/lab/topology.ts'
import { listTasks } from '../../cli/lists.ts'
import type { Task } from '../../proto/gen/tsswarm/v1/objects.ts'
import { type Probe, startProbe } from './probe/probe.ts'
import type { Counts, Question, Transfer } from './probe/protocol.ts'
import type { TestLab } from './test-lab.ts'

export type Family = 4 | 6
export const families: readonly Family[] = [4, 6]

export const familyOf = (address: string): Family => (address.includes(':') ? 6 : 4)

/** The address of that family; throws when there is none. */
export function ofFamily(addresses: readonly string[], family: Family): string {
  const address = addresses.find((one) => familyOf(one) === family)
  if (address === undefined) throw new Error(`no IPv${family} address among ${addresses.join(' ')}`)
  return address
}

/** A running task and the probe in its container. */
export interface Member {
  /** What its probe answers with: SERVICE, or SERVICE-HOST when the service has several tasks. */
  readonly name: string
  readonly service: string
  readonly host: string
  readonly pid: number
  /** By network name, one of each family. */
  readonly addresses: ReadonlyMap<string, readonly string[]>
  readonly vips: ReadonlyMap<string, readonly string[]>
  readonly probe: Probe
}

/** Addresses of a member on that network. Throws when it is not on it. */
export function addressOn(member: Member, network: string, family: Family): string {
  return ofFamily(member.addresses.get(network) ?? [], family)
}

export function vipOn(member: Member, network: string, family: Family): string {
  return ofFamily(member.vips.get(network) ?? [], family)
}

interface ServiceShape {
  readonly Spec: { readonly Name: string }
  readonly Endpoint: {
    readonly VirtualIPs?: readonly { readonly NetworkID: string; readonly Addr: string }[]
  }
}

interface NetworkShape {
  readonly Id: string
  readonly Name: string
  readonly Options: Readonly<Record<string, string>>
}

/** Names of networks by id. */
async function networkNames(lab: TestLab, host: string): Promise<ReadonlyMap<string, string>> {
  const text = await lab.cli(host, 'network', 'ls', '--no-trunc', '--format', '{{.ID}} {{.Name}}')
  return new Map(text.split('\n').map((line) => line.split(' ') as [string, string]))
}

/** The identifier of a network's VXLAN. */
export async function vniOf(lab: TestLab, host: string, network: string): Promise<number> {
  const text = await lab.cli(host, 'network', 'inspect', network)
  const [shape] = JSON.parse(text) as readonly NetworkShape[]
  return Number(shape?.Options['com.docker.network.driver.overlay.vxlanid_list'])
}

interface Started {
  readonly service: string
  readonly host: string
  readonly task: Task
}

/** Tasks of these services that have a process and shall run. */
async function startedTasks(
  lab: TestLab,
  host: string,
  services: readonly string[],
): Promise<readonly Started[]> {
  const views = await withDaemon(lab.deps, lab.record, host, (client) => listTasks(client))
  return views.flatMap(({ task, serviceName: service, nodeHostname }) =>
    task !== undefined && task.pid > 0 && task.desiredState === 512 && services.includes(service)
      ? [{ task, service, host: nodeHostname }]
      : [],
  )
}

/** Starts a probe in each of so many tasks of these services, and waits until all of them run: published ports wait for it. */
export async function membersOf(
  lab: TestLab,
  host: string,
  services: readonly string[],
  count: number,
): Promise<readonly Member[]> {
  const started = await lab.until(`${count} tasks are there`, async () => {
    const tasks = await startedTasks(lab, host, services)
    return tasks.length === count && tasks
  })
  const names = await networkNames(lab, host)
  const shapes = JSON.parse(
    await lab.cli(host, 'service', 'inspect', ...services),
  ) as readonly ServiceShape[]
  const starting = started.map(async ({ task, service, host }): Promise<Member> => {
    const isAlone = started.filter((other) => other.service === service).length === 1
    const name = isAlone ? service : `${service}-${host}`
    const shape = shapes.find(({ Spec }) => Spec.Name === service)
    const vips = new Map<string, string[]>()
    for (const { NetworkID, Addr } of shape?.Endpoint.VirtualIPs ?? []) {
      const network = names.get(NetworkID) ?? NetworkID
      vips.set(network, [...(vips.get(network) ?? []), Addr.replace(/\/.*/, '')])
    }
    const addresses = new Map(
      task.attachments.map(({ networkId, addresses }) => [
        names.get(networkId) ?? networkId,
        addresses,
      ]),
    )
    const enter = ['nsenter', '-t', `${task.pid}`, '-n', '--']
    const probe = await startProbe(name, enter, 'serve')
    return { name, service, host, pid: task.pid, addresses, vips, probe }
  })
  const members = await Promise.all(starting)
  await lab.until(`${count} tasks run`, async () => {
    const tasks = await startedTasks(lab, host, services)
    return tasks.filter(({ task }) => task.state === 512).length === count
  })
  return members
}

/** A probe in the namespace of a host. */
export async function hostProbe(
  lab: TestLab,
  host: string,
  mode: 'serve' | 'ask' = 'ask',
): Promise<Probe> {
  const file = `/run/netns/${hostNamespace(lab.record.name, host)}`
  return await startProbe(host, ['nsenter', `--net=${file}`, '--'], mode)
}

/** A question and the answers that are right. */
export interface Check {
  readonly question: Question
  readonly right: readonly string[]
}

/** The same for tcp and udp. */
export function both(question: Transfer, ...right: readonly string[]): readonly Check[] {
  return (['tcp', 'udp'] as const).map((kind) => ({ question: { ...question, kind }, right }))
}

export interface Table {
  readonly checks: number
  /** Sentences. */
  readonly wrong: readonly string[]
}

/** Asks all of them, all probes at once. */
export async function askAll(
  asked: readonly (readonly [Probe, readonly Check[]])[],
  withinMs?: number,
): Promise<Table> {
  const wrong = await Promise.all(
    asked.map(async ([probe, checks]) => {
      const questions = checks.map(({ question }) => question)
      const answers = await probe.ask(questions, withinMs)
      return checks.flatMap(({ question, right }, at) => {
        const answer = answers[at] ?? ''
        if (right.includes(answer)) return []
        const wanted = right.map((text) => JSON.stringify(text)).join(' or ')
        return [
          `${probe.name} ${JSON.stringify(question)}: ${JSON.stringify(answer)}, not ${wanted}`,
        ]
      })
    }),
  )
  return { checks: asked.reduce((sum, [, checks]) => sum + checks.length, 0), wrong: wrong.flat() }
}

export interface ManyCheck {
  readonly question: Question
  readonly times: number
  /** Each must come, and nothing else. */
  readonly right: readonly string[]
}

/** Asks each question many times, one after the other at each probe. Sentences of what is wrong. */
export async function askMany(
  asked: readonly (readonly [Probe, readonly ManyCheck[]])[],
): Promise<readonly string[]> {
  const wrong = await Promise.all(
    asked.map(async ([probe, checks]) => {
      const texts: string[] = []
      for (const { question, times, right } of checks) {
        const counts: Counts = await probe.many(question, times)
        const seen = Object.keys(counts)
        const isRight = seen.every((text) => right.includes(text)) && seen.length === right.length
        if (isRight) continue
        texts.push(
          `${probe.name} ${JSON.stringify(question)}: ${JSON.stringify(counts)}, not ${right.join(' and ')}`,
        )
      }
      return texts
    }),
  )
  return wrong.flat()
}

/**
 * Sentences of what is wrong, once every node has learnt what the swarm has: each learns it a moment after the manager that
 * was asked, one after the other. Answers that are right at once count; else it is asked again until all are, and once more.
 */
export async function onceAllKnow(
  lab: TestLab,
  what: string,
  ask: () => Promise<readonly string[]>,
): Promise<readonly string[]> {
  if ((await ask()).length === 0) return []
  await lab.until(`${what}: every node knows`, async () => {
    const wrong = await ask()
    if (wrong.length > 0) throw new Error(wrong.slice(0, 20).join('\n'))
    return true
  })
  return await ask()
}
