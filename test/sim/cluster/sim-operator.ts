// An operator: drains, pauses and reactivates nodes now and then, and leaves all of them active; has newcomers join.

import { hasCode } from '../../../proto/errors.ts'
import type { NodeView } from '../../../proto/gen/tsswarm/v1/control.ts'
import { NodeAvailability } from '../../../proto/gen/tsswarm/v1/objects.ts'
import { wait } from '../../../proto/lib/clock.ts'
import { SimApi } from './sim-api.ts'
import type { Surroundings } from './sim-host.ts'
import { aWorker } from './sim-manager.ts'

const caller = { kind: 'local-admin', nodeId: 'operator' } as never
const pauseMs = 50

export class SimOperator {
  readonly api: SimApi
  readonly #around: Surroundings
  #isEnding = false
  #isDone = false
  readonly #joined: string[] = []

  constructor(around: Surroundings) {
    this.#around = around
    this.api = new SimApi('operator', around)
    const both = Promise.all([this.#run(), this.#letJoin()]).then(() => {
      this.#isDone = true
    })
    both.catch((err: unknown) => around.oracle.fail(err instanceof Error ? err : String(err)))
  }

  /** All nodes are there and active, and stay so. */
  get isDone(): boolean {
    return this.#isDone
  }

  end(): void {
    this.#isEnding = true
  }

  async #run(): Promise<void> {
    const { random, managers, workers } = this.#around
    const founders = [...managers, ...workers]
    const { ACTIVE, PAUSE, DRAIN } = NodeAvailability
    await wait(this.api.clock, random.between(1_000, 5_000))
    while (!this.#isEnding) {
      const node = random.pick([...founders, ...this.#joined]) ?? ''
      await this.#set(node, random.pick([ACTIVE, ACTIVE, PAUSE, DRAIN]) ?? ACTIVE)
      await wait(this.api.clock, random.between(500, 5_000))
    }
    for (const node of [...founders, ...this.#joined]) await this.#set(node, ACTIVE)
  }

  /** One after another, all before faults end. What the certificate authority writes for a token that it was shown. */
  async #letJoin(): Promise<void> {
    const { newcomers, random, faultsMs, find } = this.#around
    for (const name of newcomers) {
      await wait(this.api.clock, random.between(0.1, 0.9) * (faultsMs / newcomers.length))
      await this.api.write((manager, requestId) =>
        manager.store.update(
          (tx) => {
            tx.create('nodes', aWorker(name))
          },
          { requestId, method: 'IssueCertificate' },
        ),
      )
      find(name)?.join()
      this.#joined.push(name)
    }
  }

  /** Reads and writes until nobody was faster. */
  async #set(name: string, availability: NodeAvailability): Promise<void> {
    while (true) {
      const node = (await this.#read(name))?.node
      if (node?.spec?.availability === availability) return
      if (node?.spec !== undefined && node.meta !== undefined) {
        const { version } = node.meta
        const spec = { ...node.spec, availability }
        try {
          await this.api.write((manager, requestId, signal) =>
            manager.api.updateNode(caller, { requestId, nodeId: node.id, version, spec }, signal),
          )
          return
        } catch (err) {
          if (!hasCode(err, 'OUT_OF_SEQUENCE')) throw err
        }
      }
      await wait(this.api.clock, pauseMs)
    }
  }

  async #read(reference: string): Promise<NodeView | undefined> {
    try {
      const answer = await this.api.read((manager, signal) =>
        manager.api.getNode(caller, { reference }, signal),
      )
      return answer?.node
    } catch (err) {
      // Before the cluster was founded.
      if (hasCode(err, 'NOT_FOUND')) return undefined
      throw err
    }
  }
}
