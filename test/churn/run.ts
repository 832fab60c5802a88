// One run of the churn proof: a cluster of real daemons and containers whose tasks come and go under few addresses, while hosts are
// cut off, rows of kernels are taken away, and daemons and nats-servers are killed. What it must show is in docs/operations.md.
import { mkdirSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { networkSpecToProto } from '../../proto/codec/network.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import { seededRandom, systemRandom } from '../../proto/lib/random.ts'
import { networkSpec } from '../../proto/spec/network-spec.ts'
import { isRunning, isServing, isWanted, type Picture } from '../support/churn/picture.ts'
import { buildAnswererImage } from './answerer.ts'
import { answererSpec, Changes, type ChurnedService, createService } from './changes.ts'
import { ChurnCluster } from './cluster.ts'
import { Faults, type SideFaultKind, type Struck, sideFaultKinds } from './faults.ts'
import { type Heal, untilEqual } from './kernels.ts'
import { Probers, proberPrefix, readStrays, type Target, targetsOf } from './probers.ts'
import { Watcher } from './watcher.ts'

export interface RunOptions {
  readonly seed: number
  /** Tasks that shall have had an address when it ends. */
  readonly lives: number
  /** Tasks at once, those with probers in them among them. */
  readonly alive: number
  readonly partitions: number
  readonly livesPerSecond: number
  readonly probesPerSecond: number
  /** Hosts with a prober. */
  readonly probers: number
  /** What `swarm update --dispatcher-heartbeat` is given: how long a host may be silent before its tasks are replaced. */
  readonly heartbeat?: string
  readonly say?: (line: string) => void
  /** Whether the lab is left as it is at the end, for somebody to look into; default: never. */
  readonly isLeft?: (result: RunResult) => boolean
  readonly signal?: AbortSignal
}

export interface RunResult {
  /** State folder of the lab that was left; undefined: it is gone. */
  readonly left?: string
  readonly seed: number
  readonly seconds: number
  readonly setUpSeconds: number
  readonly lives: number
  readonly reused: number
  readonly aliveMax: number
  readonly partitions: number
  readonly rows: number
  /** Lost rows that a look right after it missed: the look is worth something. */
  readonly rowsMissed: number
  /** Hosts whose daemon ended by itself. */
  readonly fallen: readonly string[]
  readonly heals: readonly Heal[]
  readonly changes: number
  readonly sent: number
  readonly judged: number
  /** What went wrong: payloads that arrived at another, addresses that two had. */
  readonly wrong: readonly string[]
  readonly broken: readonly string[]
  /** Targets of the last sweep that did not answer. */
  readonly silent: readonly string[]
  readonly swept: number
}

/** Tasks of a service: so many come and go at once. */
const replicasMax = 8
const managers = 3
const workers = 5
const cutMs = 5_000
const waitMs = 1_200_000
const sweepMs = 30_000
/** Nothing is waited for longer, however loaded the machine is. */
const giveUpMs = 60_000

export async function runChurn(options: RunOptions): Promise<RunResult> {
  const directory = await mkdtemp(join(tmpdir(), 'tsswarm-churn-'))
  const strays = join(directory, 'strays')
  mkdirSync(strays, { mode: 0o777 })
  const startMs = systemClock.monotonicMs()
  const archive = await buildAnswererImage(directory)
  const cluster = await ChurnCluster.up(managers, workers)
  let isLeft = false
  try {
    await cluster.loadImage(archive)
    const result = await new Run(options, cluster, { strays, startMs }).run()
    isLeft = options.isLeft?.(result) ?? false
    return isLeft ? { ...result, left: cluster.lab.deps.roots.stateRoot } : result
  } finally {
    if (isLeft) cluster.close()
    else await cluster.down()
    rmSync(directory, { recursive: true, force: true })
  }
}

interface Swept {
  readonly swept: number
  readonly silent: readonly string[]
}

class Run {
  readonly #options: RunOptions
  readonly #cluster: ChurnCluster
  readonly #strays: string
  readonly #startMs: number
  readonly #watcher: Watcher
  readonly #probers: Probers
  readonly #faults: Faults
  readonly #heals: Heal[] = []
  #setUpMs = 0

  constructor(
    options: RunOptions,
    cluster: ChurnCluster,
    place: { readonly strays: string; readonly startMs: number },
  ) {
    this.#options = options
    this.#cluster = cluster
    this.#strays = place.strays
    this.#startMs = place.startMs
    this.#watcher = new Watcher(cluster)
    this.#probers = new Probers(this.#watcher, options.probesPerSecond)
    this.#faults = new Faults(cluster, seededRandom(options.seed))
  }

  async run(): Promise<RunResult> {
    const { seed, livesPerSecond, signal } = this.#options
    const changes = await this.#setUp()
    const { controller, release } = childController(signal)
    const churning = childController(controller.signal)
    const watching = this.#watcher.run(controller.signal, (picture) =>
      this.#probers.follow(picture),
    )
    try {
      await this.#quiet('set up')
      this.#setUpMs = systemClock.monotonicMs() - this.#startMs
      const born = (): number => this.#watcher.holders.lives
      const changing = changes.run(livesPerSecond, born, churning.controller.signal)
      await this.#strikeOften()
      churning.controller.abort()
      await changing
      await changes.settle()
      await this.#quiet('at the end')
      const swept = await this.#sweep()
      await this.#judgeStrays()
      return this.#result(seed, changes, swept)
    } finally {
      churning.release()
      controller.abort()
      await watching
      await this.#probers.stop()
      release()
    }
  }

  #say(line: string): void {
    const seconds = (systemClock.monotonicMs() - this.#startMs) / 1000
    this.#options.say?.(`${seconds.toFixed(1).padStart(6)} s  ${line}`)
  }

  /** Networks with as many addresses as tasks shall have, so that each change needs some that were others'. */
  async #setUp(): Promise<Changes> {
    const { seed, alive, probers, heartbeat } = this.#options
    const patience = heartbeat === undefined ? [] : ['--dispatcher-heartbeat', heartbeat]
    await this.#cluster.lab.cli('m1', 'swarm', 'update', '--task-history-limit', '1', ...patience)
    const prefix = alive > 100 ? 26 : 28
    const churned = alive - probers
    // Not for tasks: network, gateway and broadcast; the virtual addresses of services; those of probers.
    const size = 2 ** (32 - prefix)
    const single = Math.max(2, Math.round(size / replicasMax))
    const perNetwork = size - 3 - (single + 2) - probers
    const count = Math.ceil((churned * 1.2) / perNetwork)
    const names = Array.from({ length: count }, (_, at) => `n${at}`)
    for (const [at, name] of names.entries()) {
      const subnet = `10.${100 + at}.0.0/${prefix}`
      const spec = networkSpecToProto(
        networkSpec.parse({ name, labels: {}, subnets: [{ subnet }] }),
      )
      const request = { requestId: newId(systemRandom), spec }
      await this.#cluster.ask((client) => client.call(ControlService.createNetwork, request))
    }
    await this.#cluster.survey()
    for (const host of this.#cluster.hosts.slice(-probers)) {
      const spec = answererSpec(`${proberPrefix}${host}`, {
        networks: names,
        strays: this.#strays,
        constraints: [`node.hostname==${host}`],
        endpointMode: 'dnsrr',
      })
      await this.#cluster.ask((client) => createService(client, spec))
    }
    const services = names.flatMap((name, at): ChurnedService[] => {
      const next = names[(at + 1) % names.length] ?? name
      const share = Math.max(1, Math.floor(churned / count / single) - 1)
      const replicas = Math.min(share, replicasMax)
      const letters = Array.from({ length: single }, (_, nth) => String.fromCharCode(97 + nth))
      return [
        ...letters.map((letter) => ({
          id: '',
          name: `${letter}${at}`,
          replicas,
          networks: [name],
        })),
        { id: '', name: `z${at}`, replicas: 1, networks: [...new Set([name, next])] },
      ]
    })
    const field = { services, perNetwork, replicasMax, aliveMax: churned }
    const changes = new Changes(this.#cluster, field, {
      random: seededRandom(seed + 1),
      strays: this.#strays,
    })
    await changes.begin()
    this.#say(`${count} networks of /${prefix}, ${services.length} services, ${probers} probers`)
    return changes
  }

  async #strikeOften(): Promise<void> {
    const { partitions, lives, signal } = this.#options
    const { holders } = this.#watcher
    const before = holders.lives
    const { hosts } = this.#cluster
    for (let round = 0; round < partitions && signal?.aborted !== true; round++) {
      const due = before + ((lives - before) * round) / partitions
      await this.#until(`${Math.floor(due)} lives`, () => holders.lives >= due)
      const cut = this.#faults.pick(hosts)
      const kind = sideFaultKinds[round % sideFaultKinds.length] ?? 'rows'
      // A second manager less would leave none that leads.
      const side = kind === 'leader' && cut.startsWith('m') ? 'daemon' : kind
      await this.#round(cut, side)
    }
    await this.#until(`${lives} lives`, () => holders.lives >= lives)
  }

  /** Faults of others while a host is cut off. Who hears news by a manager that is cut off is not behind until that is over. */
  async #round(cut: string, side: SideFaultKind): Promise<void> {
    const { hosts } = this.#cluster
    const others = hosts.filter((host) => host !== cut)
    const kinds: readonly SideFaultKind[] = side === 'rows' ? ['rows'] : ['rows', side]
    // With a daemon that has to start, rows would keep the host cut off for longer than it is to be.
    const isLong = side === 'daemon' || side === 'leader'
    const isManager = this.#cluster.managers.includes(cut)
    const struck = await this.#faults.partition(cut, cutMs, async () => {
      if (isManager) for (const kind of kinds) await this.#faults.strike(kind, others)
      else for (const kind of isLong ? [side] : kinds) await this.#strike(kind, others)
    })
    await this.#heal(struck, hosts)
    if (isLong && !isManager) await this.#strike('rows', hosts)
  }

  async #strike(kind: SideFaultKind, hosts: readonly string[]): Promise<void> {
    await this.#heal(await this.#faults.strike(kind, hosts), hosts)
  }

  async #heal({ what, endedAtMs }: Struck, hosts: readonly string[]): Promise<void> {
    const heal = await untilEqual(this.#cluster, this.#watcher, {
      ...{ what, hosts, sinceMs: endedAtMs, withinMs: giveUpMs },
      ...(this.#options.signal && { signal: this.#options.signal }),
    })
    this.#heals.push(heal)
    for (const host of this.#faults.lookAfterDaemons()) this.#say(`the daemon of ${host} has ended`)
    const { tookMs, looks, load, last } = heal
    const took = tookMs === undefined ? 'NOT WHOLE' : `${tookMs} ms`
    const { latest, holders } = this.#watcher
    const alive = latest?.tasks.filter(isRunning).length ?? 0
    this.#say(
      `${took.padStart(9)}  ${what}; ${looks} looks, load ${load.toFixed(1)}, ${alive} alive, ${holders.lives} lives`,
    )
    if (tookMs === undefined || tookMs > 2_000)
      for (const line of last.slice(0, 8)) this.#say(`  ${line}`)
  }

  /** All tasks that shall run do, nothing else, and every kernel is right. */
  async #quiet(what: string): Promise<void> {
    await this.#until(`${what}: tasks run`, () => {
      const { latest } = this.#watcher
      return latest !== undefined && isQuiet(latest)
    })
    await this.#heal({ what, endedAtMs: systemClock.wallMs() }, this.#cluster.hosts)
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const endsAtMs = systemClock.monotonicMs() + waitMs
    while (!holds()) {
      if (this.#options.signal?.aborted === true) throw new Error('interrupted')
      if (systemClock.monotonicMs() > endsAtMs) throw new Error(`not in time: ${what}`)
      await wait(systemClock, 20)
    }
  }

  /** Every prober gets an answer of every target, now that all is quiet. */
  async #sweep(): Promise<Swept> {
    const { latest } = this.#watcher
    if (latest === undefined) throw new Error('the store was never seen')
    const served = new Set(latest.tasks.filter(isServing).map(({ serviceId }) => serviceId))
    const targets = targetsOf(latest).filter(([, , kind, id]) => kind === 'task' || served.has(id))
    const isThere = ([, , kind, id]: Target): boolean => {
      const tasks = this.#watcher.latest?.tasks ?? []
      return kind === 'service' || tasks.some((task) => task.id === id && isServing(task))
    }
    const missing = await this.#probers.sweep(targets, isThere, sweepMs)
    const sought = targets.length * this.#probers.count
    this.#say(
      `${sought - missing.length} of ${sought} answers of all tasks and services to all probers`,
    )
    return { swept: sought, silent: missing }
  }

  async #judgeStrays(): Promise<void> {
    for (const arrival of readStrays(this.#strays)) this.#watcher.note(arrival)
    await this.#until('all answers are judged', () => this.#watcher.waiting < 100)
  }

  #result(seed: number, changes: Changes, { swept, silent }: Swept): RunResult {
    const { holders, aliveMax, judged, wrong, broken } = this.#watcher
    return {
      seed,
      seconds: (systemClock.monotonicMs() - this.#startMs) / 1000,
      setUpSeconds: this.#setUpMs / 1000,
      lives: holders.lives,
      reused: holders.reused,
      aliveMax,
      partitions: this.#options.partitions,
      rows: this.#faults.rows,
      rowsMissed: this.#faults.rowsMissed,
      fallen: [...this.#faults.fallen],
      heals: this.#heals,
      changes: changes.done,
      sent: this.#probers.sent,
      judged,
      wrong,
      broken: [...broken.values()],
      silent,
      swept,
    }
  }
}

function isQuiet({ tasks }: Picture): boolean {
  return tasks.every(
    (task) => isRunning(task) === isWanted(task) || (!isWanted(task) && task.state > 512),
  )
}
