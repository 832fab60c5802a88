// Keeps the cluster changing: services are scaled, renewed task by task, removed and made again, so that addresses are freed and
// given anew all the time. What is done is drawn from the seed; when, from how many tasks there shall be a second.
import type { Client } from '../../cli/client.ts'
import { serviceSpecToProto } from '../../proto/codec/service.ts'
import { hasCode } from '../../proto/errors.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import type { Service, ServiceSpec } from '../../proto/gen/tsswarm/v1/objects.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { type Random, randomInt, systemRandom } from '../../proto/lib/random.ts'
import { type ServiceSpecInput, serviceSpec } from '../../proto/spec/service-spec.ts'
import { answererImage } from './answerer.ts'
import type { ChurnCluster } from './cluster.ts'

export interface ChurnedService {
  name: string
  id: string
  replicas: number
  readonly networks: readonly string[]
}

export interface Field {
  readonly services: readonly ChurnedService[]
  /** Addresses for tasks of these services on each network. */
  readonly perNetwork: number
  /** Tasks of one of them. */
  readonly replicasMax: number
  /** Tasks of all of them at once. */
  readonly aliveMax: number
}

const idleMs = 50

export function answererSpec(
  name: string,
  {
    networks,
    strays,
    ...more
  }: {
    readonly networks: readonly string[]
    readonly strays: string
    readonly replicas?: number
    readonly constraints?: readonly string[]
    readonly endpointMode?: 'vip' | 'dnsrr'
  },
): ServiceSpec {
  const input: ServiceSpecInput = {
    name,
    labels: {},
    mode: { kind: 'replicated', replicas: more.replicas ?? 1 },
    endpointMode: more.endpointMode ?? 'vip',
    task: {
      container: {
        image: answererImage,
        labels: {},
        env: ['TASK={{.Task.ID}}', 'SERVICE={{.Service.ID}}'],
        mounts: [{ kind: 'bind', source: strays, target: '/strays' }],
        stopGraceMs: 2_000,
      },
      restart: { condition: 'any', delayMs: 500 },
      placement: { constraints: [...(more.constraints ?? [])] },
      networks: networks.map((target) => ({ target })),
    },
  }
  return serviceSpecToProto(serviceSpec.parse(input))
}

export async function createService(client: Client, spec: ServiceSpec): Promise<string> {
  const request = { requestId: newId(systemRandom), spec }
  const { service } = await client.call(ControlService.createService, request, { retry: false })
  return service?.id ?? ''
}

async function findService(client: Client, reference: string): Promise<Service | undefined> {
  try {
    const once = { retry: false }
    return (await client.call(ControlService.getService, { reference }, once)).service?.service
  } catch (err) {
    if (hasCode(err, 'NOT_FOUND')) return undefined
    throw err
  }
}

export class Changes {
  readonly #cluster: ChurnCluster
  readonly #field: Field
  readonly #random: Random
  readonly #strays: string
  #made = 0
  /** Changes that no manager took; what became of them is unknown. */
  failed = 0
  done = 0

  constructor(
    cluster: ChurnCluster,
    field: Field,
    { random, strays }: { readonly random: Random; readonly strays: string },
  ) {
    this.#cluster = cluster
    this.#field = field
    this.#random = random
    this.#strays = strays
  }

  /** Until the signal aborts: so that `born()` keeps to `perSecond`. */
  async run(perSecond: number, born: () => number, signal: AbortSignal): Promise<void> {
    const startMs = systemClock.monotonicMs()
    const before = born()
    // What was asked for counts while it is on its way, but not for ever: some of it never comes.
    let asked = 0
    const forgottenPerLook = (perSecond * idleMs) / 1000 / 2
    while (!signal.aborted) {
      const due = ((systemClock.monotonicMs() - startMs) * perSecond) / 1000
      asked = Math.max(born() - before, asked - forgottenPerLook)
      if (asked < due) asked += await this.#change()
      else await wait(systemClock, idleMs, signal)
    }
  }

  /** Makes all services. */
  async begin(): Promise<void> {
    for (const service of this.#field.services) {
      const spec = answererSpec(service.name, { ...service, strays: this.#strays })
      service.id = await this.#cluster.ask((client) => createService(client, spec))
    }
  }

  /** Resolves with about how many tasks will come of it. */
  async #change(): Promise<number> {
    const service = this.#pick(this.#field.services)
    const kind = randomInt(this.#random, 10)
    try {
      const births = kind < 5 ? await this.#scale(service) : await this.#renew(service, kind)
      this.done += 1
      return births
    } catch {
      this.failed += 1
      await wait(systemClock, idleMs)
      return 0
    }
  }

  async #scale(service: ChurnedService): Promise<number> {
    const room = this.#room(service)
    // Mostly as many as there is room for: then what is freed is given again at once.
    const isFew = randomInt(this.#random, 3) === 0
    const replicas = isFew
      ? randomInt(this.#random, room + 1)
      : room - randomInt(this.#random, Math.ceil(room / 4) + 1)
    const births = Math.max(0, replicas - service.replicas)
    service.replicas = replicas
    await this.#write(service, (spec) => spec)
    return births
  }

  async #renew(service: ChurnedService, kind: number): Promise<number> {
    if (kind < 8) {
      await this.#write(service, (spec) => {
        const task = spec.task && { ...spec.task, forceUpdate: spec.task.forceUpdate + 1 }
        return { ...spec, task }
      })
      return service.replicas
    }
    const requestId = newId(systemRandom)
    await this.#cluster.ask(async (client) => {
      const there = await findService(client, service.name)
      if (there === undefined) return
      const request = { requestId, reference: there.id }
      await client.call(ControlService.removeService, request, { retry: false })
    })
    this.#made += 1
    service.name = `${service.name.replace(/-.*/, '')}-${this.#made}`
    const spec = answererSpec(service.name, { ...service, strays: this.#strays })
    service.id = await this.#cluster.ask((client) => createService(client, spec))
    return service.replicas
  }

  /** How many tasks it may have beside what the others have. */
  #room(service: ChurnedService): number {
    const others = this.#field.services.filter((one) => one !== service)
    const sum = (list: readonly ChurnedService[]): number =>
      list.reduce((total, { replicas }) => total + replicas, 0)
    const free = service.networks.map(
      (network) =>
        this.#field.perNetwork - sum(others.filter(({ networks }) => networks.includes(network))),
    )
    const { replicasMax, aliveMax } = this.#field
    return Math.max(0, Math.min(...free, replicasMax, aliveMax - sum(others)))
  }

  /** As the service should be, which an earlier change that failed may not have brought about. */
  async #write(service: ChurnedService, change: (spec: ServiceSpec) => ServiceSpec): Promise<void> {
    await this.#cluster.ask(async (client) => {
      const there = await findService(client, service.name)
      if (there?.spec === undefined) {
        const spec = answererSpec(service.name, { ...service, strays: this.#strays })
        service.id = await createService(client, spec)
        return
      }
      service.id = there.id
      const { replicas } = service
      const spec = change({ ...there.spec, mode: { $case: 'replicated', value: { replicas } } })
      await client.call(
        ControlService.updateService,
        {
          requestId: newId(systemRandom),
          serviceId: there.id,
          version: there.meta?.version ?? 0,
          spec,
          rollback: false,
        },
        { retry: false },
      )
    })
  }

  /** Brings every service to what it should be, whatever was lost on the way. */
  async settle(): Promise<void> {
    for (const service of this.#field.services) {
      for (let tries = 1; ; tries++) {
        try {
          await this.#write(service, (spec) => spec)
          break
        } catch (err) {
          if (tries === 20) throw err
          await wait(systemClock, 200)
        }
      }
    }
  }

  #pick<T>(list: readonly T[]): T {
    const one = list[randomInt(this.#random, list.length)]
    if (one === undefined) throw new Error('nothing to choose from')
    return one
  }
}
