// A whole simulated cluster: hosts with managers and workers, clients, what is between them, and how it is looked at from outside.
import { SimRandom, World } from 'raft-ts/testing'
import type { Logger } from '../../../proto/lib/log.ts'
import {
  isToRun,
  placeOf,
  type Service,
  type Task,
  TaskState,
} from '../../../proto/objects/index.ts'
import { contents } from '../../support/replicated-stores.ts'
import { calmLinks, Links } from './links.ts'
import { Oracle } from './oracle.ts'
import type { RunPlan } from './run-plan.ts'
import { SimClient } from './sim-client.ts'
import { type PlantedBug, SimHost } from './sim-host.ts'
import { SimOperator } from './sim-operator.ts'
import { hasItsSecret } from './sim-secret.ts'

export interface SimClusterOptions {
  readonly seed: number
  readonly plan: RunPlan
  readonly bug: PlantedBug | undefined
  readonly log: (world: World) => Logger
}

const minuteMs = 60_000

export class SimCluster {
  readonly world: World
  readonly random: SimRandom
  readonly links: Links
  readonly oracle: Oracle
  readonly log: Logger
  readonly hosts: readonly SimHost[]
  readonly clients: readonly SimClient[]
  readonly operator: SimOperator

  /** What right wall clocks said when the run began, and have leapt since. */
  #wallBaseMs: number
  #hasOddClocks = false

  readonly #plan: RunPlan

  constructor({ seed, plan, bug, log }: SimClusterOptions) {
    this.#plan = plan
    this.oracle = new Oracle()
    this.world = new World(seed)
    this.random = new SimRandom(seed + 1)
    this.links = new Links(this.world, this.random.fork())
    this.log = log(this.world)
    // A minute begins while things go wrong.
    this.#wallBaseMs = minuteMs * 28_000_000 - this.random.between(0.3, 0.7) * plan.faultsMs
    const names = (prefix: string, count: number): string[] =>
      Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`)
    const around = {
      bug,
      world: this.world,
      links: this.links,
      oracle: this.oracle,
      random: this.random.fork(),
      log: this.log,
      managers: names('m', plan.managers),
      workers: names('w', plan.workers),
      newcomers: names('j', plan.joins),
      isRebalanced: plan.isRebalanced,
      faultsMs: plan.faultsMs,
      wallMs: () => this.wallMs(),
      find: (name: string) => this.hosts.find((host) => host.name === name),
    }
    const hosts = [...around.managers, ...around.workers, ...around.newcomers]
    this.hosts = hosts.map((name) => new SimHost(name, around))
    this.startAll()
    this.clients = plan.clients.map((client) => new SimClient(client, around))
    this.operator = new SimOperator(around)
  }

  host(name: string): SimHost {
    const host = this.hosts.find((other) => other.name === name)
    if (host === undefined) throw new Error(`no host ${name}`)
    return host
  }

  leader(): SimHost | undefined {
    return this.hosts.find(({ manager }) => manager?.raft.leadership().role === 'leader')
  }

  /** Of a clock that is right. */
  wallMs(): number {
    return this.#wallBaseMs + this.world.nowMs
  }

  /** All wall clocks go on to shortly before a minute begins. */
  leap(minutes: number, beforeMs: number): void {
    this.#hasOddClocks = true
    const nowMs = this.wallMs()
    const nextMs = (Math.floor((nowMs + beforeMs) / minuteMs) + 1 + minutes) * minuteMs
    this.#wallBaseMs += nextMs - beforeMs - nowMs
  }

  /** One host's wall clock says something else than the others', and its own time goes at another pace. */
  setClock(host: SimHost, rate: number, wallOffsetMs: number): void {
    this.#hasOddClocks = true
    host.setClock(rate, wallOffsetMs)
  }

  startAll(): void {
    for (const host of this.hosts) host.start()
  }

  /** Everything that is broken is mended. */
  mend(): void {
    this.links.healAll()
    this.links.weather = calmLinks
    for (const host of this.hosts) {
      host.setClock(1, 0)
      host.resume()
      host.start()
    }
  }

  /** Users make no more changes. */
  endChanges(): void {
    for (const client of this.clients) client.end()
    this.operator.end()
  }

  /** What keeps the cluster from being as it should; undefined: nothing does. */
  unsettled(): string | undefined {
    const leader = this.leader()?.manager
    if (leader === undefined) return 'no manager leads'
    if (!this.operator.isDone) return 'the operator waits for an answer'
    for (const { service, isDone } of this.clients) {
      if (!isDone) return 'a client waits for its answer, or for its update to end'
      const wrong = service && this.#serviceUnsettled(service)
      if (wrong !== undefined) return wrong
    }
    const known = new Set(this.clients.map(({ service }) => service?.id))
    const stray = leader.store.view((tx) =>
      [...tx.all('services')].find(({ id }) => !known.has(id)),
    )
    if (stray !== undefined) return `service ${stray.spec.name} is there and should not be`
    return this.#containersUnsettled() ?? this.#replicasUnsettled() ?? this.#spreadUnsettled()
  }

  /** Where tasks move by themselves, no node has more than one more of a service than another. */
  #spreadUnsettled(): string | undefined {
    if (!this.#plan.isRebalanced) return undefined
    for (const { service } of this.clients) {
      // Tasks stay where their volumes are.
      if (service?.kind !== 'replicated' || service.hasVolumes) continue
      const tasks = this.leader()?.manager?.store.view((tx) => [
        ...tx.find('tasks', 'byService', service.id),
      ])
      const running = tasks?.filter(runs) ?? []
      const counts = this.hosts.map(({ id }) => running.filter((task) => task.nodeId === id).length)
      // A place whose move failed is left alone until its spec is another.
      if (tasks?.some(isFailedMove) === true) continue
      if (Math.max(...counts) - Math.min(...counts) > 1) {
        return `service ${service.name} is not spread: ${counts.join(' ')}`
      }
    }
    return undefined
  }

  #serviceUnsettled(wanted: NonNullable<SimClient['service']>): string | undefined {
    const store = this.leader()?.manager?.store
    const service = store?.view((tx) => tx.get('services', wanted.id))
    if (service === undefined) return `service ${wanted.name} was acknowledged and is gone`
    // How its update goes may have been noted since.
    if (service.version < wanted.version || service.spec.labels.seq !== String(wanted.seq)) {
      return `service ${wanted.name} is not as it was acknowledged: change ${service.spec.labels.seq}, not ${wanted.seq}`
    }
    if (wanted.kind === 'cron') return this.#cronUnsettled(service)
    const tasks = store?.view((tx) => [...tx.find('tasks', 'byService', wanted.id)]) ?? []
    const running = tasks.filter(runs)
    const { there, places } = this.#progressOf(service, wanted, tasks)
    if (there.length !== places || new Set(there.map(placeOf)).size !== places) {
      return `service ${wanted.name} (${wanted.kind}) has ${there.length} of ${places}: ${tasks.map(short).join(' ')}`
    }
    const ill = running.find(({ health }) => health?.state === 'unhealthy')
    if (ill !== undefined) return `task ${ill.id} of ${wanted.name} is unhealthy and runs on`
    if (service.rebalance !== undefined) return `service ${wanted.name} is to be spread anew`
    const old = running.find(({ specHash }) => specHash !== service.specHash)
    return old && `task ${old.id} of ${wanted.name} runs an old spec`
  }

  /** The tasks that are as they should be, and how many there are to be, each in a place of its own. */
  #progressOf(
    { jobStatus }: Service,
    { kind, replicas }: NonNullable<SimClient['service']>,
    tasks: readonly Task[],
  ): { readonly there: readonly Task[]; readonly places: number } {
    if (kind === 'replicated') return { there: tasks.filter(runs), places: replicas }
    if (kind === 'global') return { there: tasks.filter(runs), places: this.hosts.length }
    const isDone = ({ state, jobIteration }: Task): boolean =>
      state === TaskState.COMPLETE && jobIteration === jobStatus?.iteration
    const places = kind === 'global-job' ? this.hosts.length : replicas
    return { there: tasks.filter(isDone), places }
  }

  /** All runs have ended, and with clocks that were right all times were decided about as they came. */
  #cronUnsettled({ spec, cronStatus }: Service): string | undefined {
    if (cronStatus === undefined) return `cron service ${spec.name} was not looked at`
    const { runs, decidedMs } = cronStatus
    const going = runs.find(({ state }) => state === 'running')
    if (going !== undefined) return `run ${going.iteration} of ${spec.name} goes on`
    const lastMs = Math.floor(this.wallMs() / minuteMs) * minuteMs
    if (this.#hasOddClocks || decidedMs >= lastMs) return undefined
    return `nothing was decided about the run of ${spec.name} at ${lastMs}`
  }

  /** Hosts run the containers of the tasks that the store says are running there, and no others. */
  #containersUnsettled(): string | undefined {
    const store = this.leader()?.manager?.store
    for (const { name, containers } of this.hosts) {
      const wanted = store?.view((tx) => [...tx.find('tasks', 'byNode', name)].filter(runs)) ?? []
      const there = containers.list().filter(({ state }) => state.kind === 'running')
      if (
        there.length !== wanted.length ||
        there.some(({ id }) => !wanted.some((t) => t.id === id))
      ) {
        return `${name} runs ${there.length} containers, the store says ${wanted.map(short).join(' ')}`
      }
      for (const { specHash, id } of wanted) {
        const spec = store?.view((tx) => tx.get('taskSpecs', specHash))?.spec
        const files = containers.inspect(id).config.files ?? []
        if (spec === undefined || hasItsSecret(spec, files)) continue
        return `the container of task ${id} has not the secret that its spec names`
      }
    }
    return undefined
  }

  #replicasUnsettled(): string | undefined {
    const stores = this.hosts.flatMap(({ manager }) =>
      manager === undefined ? [] : [manager.store],
    )
    const [first, ...others] = stores.map((store) => JSON.stringify(store.view(contents)))
    return others.some((other) => other !== first)
      ? 'the managers hold different states'
      : undefined
  }
}

function isFailedMove({ reason, nodeId, state }: Task): boolean {
  if (reason !== 'rebalance') return false
  return nodeId === undefined || state === TaskState.FAILED || state === TaskState.REJECTED
}

function runs(task: Task): boolean {
  return task.state === TaskState.RUNNING && isToRun(task)
}

function short(task: Task): string {
  const { id, nodeId, state, desiredState, err } = task
  return `${id.slice(0, 5)}[${placeOf(task)}]@${nodeId ?? '-'}:${state}/${desiredState}${err && ` (${err})`}`
}
