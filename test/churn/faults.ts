// What the proof does to a cluster that churns. Each fault says when it was over, on the wall clock: from then on time counts.
import { readFileSync } from 'node:fs'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { type Random, randomInt } from '../../proto/lib/random.ts'
import type { ChurnCluster } from './cluster.ts'
import { dataPlaneOf, readKernel } from './kernels.ts'

export const sideFaultKinds = [
  'daemon',
  'nats',
  'leader',
  'rules',
  'all-nats',
  'device',
  'rows',
] as const

export type SideFaultKind = (typeof sideFaultKinds)[number]

export interface Struck {
  readonly what: string
  readonly endedAtMs: number
}

const rowsPerHost = 6
const hostsWithLostRows = 3

export class Faults {
  /** Hosts whose daemon ended otherwise than by our hand. */
  readonly fallen = new Set<string>()
  readonly #pids = new Map<string, number>()
  readonly #cluster: ChurnCluster
  readonly #random: Random
  /** Rows of kernels that were taken away, and those that a look right after it missed. */
  rows = 0
  rowsMissed = 0

  constructor(cluster: ChurnCluster, random: Random) {
    this.#cluster = cluster
    this.#random = random
  }

  /** Notes which daemons are no longer the ones that were there last; answers with those that it had not noted before. */
  lookAfterDaemons(): readonly string[] {
    const before = new Set(this.fallen)
    for (const host of this.#cluster.hosts) {
      const pid = this.#cluster.lab.pid(host)
      const known = this.#pids.get(host)
      if (known !== undefined && pid !== known) this.fallen.add(host)
      if (pid !== undefined) this.#pids.set(host, pid)
    }
    return [...this.fallen].filter((host) => !before.has(host))
  }

  pick<T>(list: readonly T[]): T {
    const one = list[randomInt(this.#random, list.length)]
    if (one === undefined) throw new Error('nothing to choose from')
    return one
  }

  /** Nothing gets to the host or from it, for so long. */
  async partition(host: string, lastsMs: number, meanwhile: () => Promise<void>): Promise<Struck> {
    const { lab, unusable } = this.#cluster
    unusable.add(host)
    await lab.cut(host)
    const startMs = systemClock.monotonicMs()
    try {
      await meanwhile()
      await wait(systemClock, Math.max(0, lastsMs - (systemClock.monotonicMs() - startMs)))
    } finally {
      await lab.heal(host)
      unusable.delete(host)
    }
    const lastedMs = Math.round(systemClock.monotonicMs() - startMs)
    return { what: `partition of ${host}, ${lastedMs} ms`, endedAtMs: systemClock.wallMs() }
  }

  async strike(kind: SideFaultKind, hosts: readonly string[]): Promise<Struck> {
    switch (kind) {
      case 'rows':
        return await this.#loseRows(hosts)
      case 'rules':
        return await this.#inDataPlane(hosts, 'nft flush ruleset')
      case 'device':
        return await this.#loseDevice(hosts)
      case 'nats':
        return this.#killServers([this.pick(this.#managersOf(hosts))])
      case 'all-nats':
        return this.#killServers(this.#managersOf(hosts))
      case 'daemon':
        return await this.#restart(this.pick(hosts.filter((host) => host.startsWith('w'))))
      case 'leader':
        return await this.#restart(await this.#leader(hosts))
    }
  }

  #managersOf(hosts: readonly string[]): readonly string[] {
    return hosts.filter((host) => this.#cluster.managers.includes(host))
  }

  async #leader(hosts: readonly string[]): Promise<string> {
    const [from = ''] = this.#managersOf(hosts)
    return await this.#cluster.lab.leader(from)
  }

  async #loseRows(hosts: readonly string[]): Promise<Struck> {
    const chosen = new Set(Array.from({ length: hostsWithLostRows }, () => this.pick(hosts)))
    const lost: string[] = []
    for (const host of chosen) {
      const facts = [...(await readKernel(this.#cluster, host))]
      const picked = Array.from({ length: rowsPerHost }, () => this.pick(facts))
      const commands = picked.flatMap((fact) => removalOf(fact) ?? [])
      lost.push(...commands)
      await this.#run(host, commands.join('; '))
      const after = await readKernel(this.#cluster, host)
      const isLost = (fact: string): boolean => removalOf(fact) !== undefined && !after.has(fact)
      this.rowsMissed += picked.filter(isLost).length
    }
    this.rows += lost.length
    const what = `lost rows (${lost.length} of ${[...chosen].join(', ')})`
    return { what, endedAtMs: systemClock.wallMs() }
  }

  async #loseDevice(hosts: readonly string[]): Promise<Struck> {
    const host = this.pick(hosts)
    const facts = [...(await readKernel(this.#cluster, host))]
    const devices = facts.flatMap((fact) => /^device (\S+)$/.exec(fact)?.[1] ?? [])
    return await this.#inDataPlane([host], `ip link del ${this.pick(devices)}`)
  }

  async #inDataPlane(hosts: readonly string[], command: string): Promise<Struck> {
    const host = this.pick(hosts)
    await this.#run(host, command)
    return { what: `${host}: ${command}`, endedAtMs: systemClock.wallMs() }
  }

  async #run(host: string, command: string): Promise<void> {
    // A row that is gone by itself since it was read is none to take away.
    await runCommand([
      ...['nsenter', `--net=${dataPlaneOf(this.#cluster, host)}`],
      ...['sh', '-c', command],
    ])
  }

  #killServers(managers: readonly string[]): Struck {
    for (const host of managers) {
      const pid = this.#serverOf(host)
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
    }
    return { what: `nats-server of ${managers.join(', ')} killed`, endedAtMs: systemClock.wallMs() }
  }

  #serverOf(host: string): number | undefined {
    const { runDir } = this.#cluster.lab.paths(host)
    try {
      const pid = readFileSync(`${runDir}/bus/pid`, 'utf8').trim()
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      return line.includes(`${runDir}/bus/nats.conf`) ? Number(pid) : undefined
    } catch {
      return undefined
    }
  }

  async #restart(host: string): Promise<Struck> {
    const { lab, unusable } = this.#cluster
    unusable.add(host)
    this.lookAfterDaemons()
    await lab.kill(host)
    await lab.start(host)
    this.#pids.delete(host)
    this.lookAfterDaemons()
    unusable.delete(host)
    return { what: `daemon of ${host} killed and started`, endedAtMs: systemClock.wallMs() }
  }
}

/** The command that takes a fact away from a kernel; undefined: it would not come back, as its container is behind it. */
export function removalOf(fact: string): string | undefined {
  const [kind, first = '', second = '', third = ''] = fact.split(' ')
  switch (kind) {
    case 'route':
      if (second === 'to') return undefined
      if (second === 'here') return `ip route del local ${first} table local`
      return `ip route del ${second === 'unreachable' ? 'unreachable ' : ''}${first}`
    case 'fdb':
      return `bridge fdb del ${second} dev ${first} self`
    case 'neighbour':
      return third === 'at' ? `ip neigh del ${second} dev ${first}` : undefined
    case 'vip':
      return `nft delete element inet tsswarm vips '{ ${first} }'`
    case 'same_network':
      return `nft delete element inet tsswarm same_network '{ ${first} . ${first} }'`
    case 'hairpin':
      return `nft delete element inet tsswarm hairpin '{ ${first} . ${first} }'`
    case 'backend':
      return `nft flush chain inet tsswarm ${first}`
    default:
      return undefined
  }
}
