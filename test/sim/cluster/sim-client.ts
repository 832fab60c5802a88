// A client: makes one change of its service after another and keeps what was acknowledged. After a change it may read at any manager, and must see it.
import { hasCode } from '../../../proto/errors.ts'
import type { UpdateServiceResponse } from '../../../proto/gen/tsswarm/v1/control.ts'
import type { Service, ServiceSpec } from '../../../proto/gen/tsswarm/v1/objects.ts'
import { wait } from '../../../proto/lib/clock.ts'
import { type ClientPlan, nameOf, type SimMode } from './run-plan.ts'
import { SimApi } from './sim-api.ts'
import type { Surroundings } from './sim-host.ts'
import { specOf } from './sim-spec.ts'

const pauseMs = 200

/** The service as last acknowledged. */
export interface Acknowledged {
  readonly name: string
  readonly id: string
  readonly version: number
  readonly seq: number
  readonly kind: SimMode
  /** Of a job or a run of one: how many tasks must end well. */
  readonly replicas: number
  readonly hasVolumes: boolean
  /** What a failing update may have brought back: the change before that one was made over; undefined: there was none. */
  readonly before?: Change
}

type Change = Pick<Acknowledged, 'seq' | 'replicas'>

const caller = { kind: 'local-admin', nodeId: 'client' } as never

export class SimClient {
  readonly api: SimApi
  readonly #around: Surroundings
  readonly #plan: ClientPlan
  /** From where its services are counted, for what only some of them have. */
  readonly #firstRound: number
  #rounds = 0
  #service: Acknowledged | undefined
  #isEnding = false
  #isDone = false

  constructor(plan: ClientPlan, around: Surroundings) {
    this.#plan = plan
    this.#around = around
    this.#firstRound = around.random.below(6)
    this.api = new SimApi(plan.name, around)
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
      else if (this.#plan.isKept !== true && random.chance(0.1)) await this.#remove(this.#service)
      else await this.#update(this.#service)
      if (random.chance(0.4)) await this.#read()
    }
    if (this.#plan.update !== undefined) await this.#finish()
    this.#isDone = true
  }

  /** What was left half done, or taken back, is made once more with a program that works, until that is done. */
  async #finish(): Promise<void> {
    while (this.#service !== undefined) {
      await this.#update(this.#service, true)
      while (await this.#isUnderWay(this.#service)) await wait(this.api.clock, pauseMs)
      const status = await this.#status(this.#service)
      if (status === undefined || status === 'completed') return
    }
  }

  async #isUnderWay(service: Acknowledged): Promise<boolean> {
    const status = await this.#status(service)
    return status === 'updating' || status === 'rollback_started'
  }

  async #status({ id }: Acknowledged): Promise<string | undefined> {
    while (true) {
      const answer = await this.api.read((manager, signal) =>
        manager.api.getService(caller, { reference: id }, signal),
      )
      if (answer !== undefined) return answer.service?.service?.updateStatus?.state
      await wait(this.api.clock, pauseMs)
    }
  }

  async #create(): Promise<void> {
    this.#rounds += 1
    const [name, replicas] = [
      nameOf(this.#plan.name, this.#rounds),
      this.#around.random.below(6) + 1,
    ]
    const kind = this.#nextMode()
    const spec = this.#spec(name, 1, { kind, replicas, isSound: true })
    const { service } = await this.api.write((manager, requestId, signal) =>
      manager.api.createService(caller, { requestId, spec }, signal),
    )
    if (service?.meta === undefined) throw new Error('a service without version was acknowledged')
    const { version } = service.meta
    const { hasVolumes = false } = this.#plan
    this.#service = { name, id: service.id, version, seq: 1, kind, replicas, hasVolumes }
  }

  async #update(known: Acknowledged, isSound = false): Promise<void> {
    const { random } = this.#around
    const { seq, kind, replicas, name } = known
    const changed = random.chance(0.6) ? random.below(7) : replicas
    const spec = this.#spec(name, seq + 1, { kind, replicas: changed, isSound })
    const { service, over } = await this.#writeOver(known, spec)
    if (service?.meta === undefined) throw new Error('a service without version was acknowledged')
    const change = { seq: seq + 1, replicas: changed }
    this.#service = { ...known, version: service.meta.version, ...change, before: over }
  }

  /** The leader may have written how the last update goes: then it is read again. `over`: what was changed. */
  async #writeOver(
    known: Acknowledged,
    spec: ServiceSpec,
  ): Promise<UpdateServiceResponse & { readonly over: Change }> {
    const { name, id, version, seq } = known
    let seen = version
    let over: Change = known
    while (true) {
      try {
        const request = { serviceId: id, version: seen, spec, rollback: false }
        const answer = await this.api.write((manager, requestId, signal) =>
          manager.api.updateService(caller, { ...request, requestId }, signal),
        )
        return { ...answer, over: { seq: over.seq, replicas: over.replicas } }
      } catch (err) {
        if (!hasCode(err, 'OUT_OF_SEQUENCE')) throw err
        const answer = await this.api.read((manager, signal) =>
          manager.api.getService(caller, { reference: id }, signal),
        )
        const there = answer?.service?.service
        if (there === undefined) continue
        over = changeOf(there, known) ?? known
        if (changeOf(there, known) === undefined) {
          const read = there.spec?.labels.seq
          this.#around.oracle.fail(`${name}: change ${read} was read after ${seq}`)
        }
        seen = there.meta?.version ?? seen
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
      const service = answer?.service?.service
      const seq = service?.spec?.labels.seq
      if (service === undefined || changeOf(service, wanted) !== undefined) return
      this.#around.oracle.fail(`${wanted.name}: change ${seq} was read after ${wanted.seq}`)
    } catch (err) {
      if (!hasCode(err, 'NOT_FOUND')) throw err
      this.#around.oracle.fail(`${wanted.name} was not found after it was acknowledged`)
    }
  }

  #nextMode(): SimMode {
    const { name, modes } = this.#plan
    const own = Number(/\d+/.exec(name)?.[0] ?? 0)
    return modes[(this.#rounds + own) % modes.length] ?? 'replicated'
  }

  #spec(
    name: string,
    seq: number,
    size: Pick<Acknowledged, 'kind' | 'replicas'> & { readonly isSound: boolean },
  ): ServiceSpec {
    const wish = { name, seq, round: this.#firstRound + this.#rounds, ...size }
    return specOf(wish, this.#plan, this.#around.random)
  }
}

/** Which change the service shows: the last one, or the one before when that was brought back; undefined: neither. */
function changeOf(service: Service, known: Acknowledged): Change | undefined {
  const seq = service.spec?.labels.seq
  if (seq === String(known.seq)) return known
  const isBack = service.updateStatus?.state.startsWith('rollback') === true
  return isBack && seq === String(known.before?.seq) ? known.before : undefined
}
