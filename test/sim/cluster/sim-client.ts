// A client: makes one change of its service after another and keeps what was acknowledged. After a change it may read at any manager, and must see it.
import { serviceSpecToProto } from '../../../proto/codec/service.ts'
import { hasCode } from '../../../proto/errors.ts'
import type { UpdateServiceResponse } from '../../../proto/gen/tsswarm/v1/control.ts'
import type { ServiceSpec } from '../../../proto/gen/tsswarm/v1/objects.ts'
import { wait } from '../../../proto/lib/clock.ts'
import { type ServiceSpecInput, serviceSpec } from '../../../proto/spec/service-spec.ts'
import { SimApi } from './sim-api.ts'
import type { Surroundings } from './sim-host.ts'
import { simSecret } from './sim-secret.ts'

/** The service as last acknowledged. */
export interface Acknowledged {
  readonly name: string
  readonly id: string
  readonly version: number
  readonly seq: number
  readonly kind: SimMode
  /** Of a job: how many tasks must end well. */
  readonly replicas: number
}

export type SimMode = 'replicated' | 'global' | 'replicated-job'

/** The modes of a client's services, one after another; clients begin at different ones. */
const modes: readonly SimMode[] = ['replicated', 'replicated', 'global', 'replicated-job']

const caller = { kind: 'local-admin', nodeId: 'client' } as never

export class SimClient {
  readonly api: SimApi
  readonly #around: Surroundings
  readonly #name: string
  #rounds = 0
  #service: Acknowledged | undefined
  #isEnding = false
  #isDone = false

  constructor(name: string, around: Surroundings) {
    this.#name = name
    this.#around = around
    this.api = new SimApi(name, around)
    this.#run().catch((err: unknown) =>
      around.oracle.fail(err instanceof Error ? err : String(err)),
    )
  }

  /** Its last change is acknowledged, and there will be no more. */
  get isDone(): boolean {
    return this.#isDone
  }

  /** What must be there at the end; undefined: nothing. */
  get service(): Acknowledged | undefined {
    return this.#service
  }

  /** No more changes once the present one is acknowledged. */
  end(): void {
    this.#isEnding = true
  }

  async #run(): Promise<void> {
    const { random } = this.#around
    while (!this.#isEnding) {
      await wait(this.api.clock, random.between(50, 1_500))
      if (this.#service === undefined) await this.#create()
      else if (random.chance(0.1)) await this.#remove(this.#service)
      else await this.#update(this.#service)
      if (random.chance(0.4)) await this.#read()
    }
    this.#isDone = true
  }

  async #create(): Promise<void> {
    this.#rounds += 1
    const [name, replicas] = [`${this.#name}-${this.#rounds}`, this.#around.random.below(6) + 1]
    const kind = this.#nextMode()
    const spec = this.#spec(name, 1, { kind, replicas })
    const { service } = await this.api.write((manager, requestId, signal) =>
      manager.api.createService(caller, { requestId, spec }, signal),
    )
    if (service?.meta === undefined) throw new Error('a service without version was acknowledged')
    this.#service = { name, id: service.id, version: service.meta.version, seq: 1, kind, replicas }
  }

  async #update({ name, id, version, seq, kind, replicas }: Acknowledged): Promise<void> {
    const { random } = this.#around
    const changed = random.chance(0.6) ? random.below(7) : replicas
    const spec = this.#spec(name, seq + 1, { kind, replicas: changed })
    const { service } = await this.#writeOver({ name, id, version, seq }, spec)
    if (service?.meta === undefined) throw new Error('a service without version was acknowledged')
    this.#service = {
      name,
      id,
      version: service.meta.version,
      seq: seq + 1,
      kind,
      replicas: changed,
    }
  }

  /** The leader may have written how the last update goes: then it is read again. */
  async #writeOver(
    { name, id, version, seq }: Omit<Acknowledged, 'kind' | 'replicas'>,
    spec: ServiceSpec,
  ): Promise<UpdateServiceResponse> {
    let seen = version
    while (true) {
      try {
        const request = { serviceId: id, version: seen, spec, rollback: false }
        return await this.api.write((manager, requestId, signal) =>
          manager.api.updateService(caller, { ...request, requestId }, signal),
        )
      } catch (err) {
        if (!hasCode(err, 'OUT_OF_SEQUENCE')) throw err
        const answer = await this.api.read((manager, signal) =>
          manager.api.getService(caller, { reference: id }, signal),
        )
        const there = answer?.service?.service
        const read = there?.spec?.labels.seq ?? String(seq)
        if (read !== String(seq)) {
          this.#around.oracle.fail(`${name}: change ${read} was read after ${seq}`)
        }
        seen = there?.meta?.version ?? seen
      }
    }
  }

  async #remove({ name }: Acknowledged): Promise<void> {
    await this.api.write((manager, requestId, signal) =>
      manager.api.removeService(caller, { requestId, reference: name }, signal),
    )
    this.#service = undefined
  }

  /** Reads are linearizable on every manager. */
  async #read(): Promise<void> {
    const wanted = this.#service
    if (wanted === undefined) return
    try {
      const answer = await this.api.read((manager, signal) =>
        manager.api.getService(caller, { reference: wanted.id }, signal),
      )
      const seq = answer?.service?.service?.spec?.labels.seq
      if (answer === undefined || seq === String(wanted.seq)) return
      this.#around.oracle.fail(`${wanted.name}: change ${seq} was read after ${wanted.seq}`)
    } catch (err) {
      if (!hasCode(err, 'NOT_FOUND')) throw err
      this.#around.oracle.fail(`${wanted.name} was not found after it was acknowledged`)
    }
  }

  /** Every third service is asked for its health. */
  #image(): string {
    return this.#rounds % 3 === 2 ? 'asked' : 'hello'
  }

  #nextMode(): SimMode {
    const own = Number(/\d+/.exec(this.#name)?.[0] ?? 0)
    return modes[(this.#rounds + own) % modes.length] ?? 'replicated'
  }

  #spec(name: string, seq: number, size: Pick<Acknowledged, 'kind' | 'replicas'>) {
    const isNewTask = this.#around.random.chance(0.3)
    const env = [`SEQ=${isNewTask ? seq : 0}`]
    const isJob = size.kind === 'replicated-job'
    const secrets = this.#rounds % 2 === 1 ? [{ source: simSecret, target: 'sim' }] : []
    return serviceSpecToProto(
      serviceSpec.parse({
        name,
        labels: { seq: String(seq) },
        mode: modeOf(size),
        // Containers end at any moment: nobody is here to go on with an update that is paused.
        ...(isJob ? {} : { update: { failureAction: 'continue' } }),
        task: {
          container: {
            image: isJob ? 'batch' : this.#image(),
            env,
            stopGraceMs: 1_000,
            secrets,
          },
          restart: { condition: 'any', delayMs: 200 },
        },
      }),
    )
  }
}

function modeOf({
  kind,
  replicas,
}: Pick<Acknowledged, 'kind' | 'replicas'>): ServiceSpecInput['mode'] {
  switch (kind) {
    case 'replicated':
      return { kind, replicas }
    case 'global':
      return { kind }
    case 'replicated-job':
      return { kind, completions: replicas, maxConcurrent: 2 }
  }
}
