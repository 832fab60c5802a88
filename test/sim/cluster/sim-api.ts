// How simulated users reach the control API: over links, at any manager; writes at whichever is thought to lead, repeated with their
// request id until they are acknowledged.
import { SimProcess } from 'raft-ts/testing'
import { hasCode, SwarmError } from '../../../proto/errors.ts'
import { type Clock, wait } from '../../../proto/lib/clock.ts'
import { newId } from '../../../proto/lib/ids.ts'
import type { Place } from './place.ts'
import { SimClock } from './sim-clock.ts'
import type { Surroundings } from './sim-host.ts'
import type { SimManager } from './sim-manager.ts'

export type ApiRequest<T> = (
  manager: SimManager,
  requestId: string,
  signal: AbortSignal,
) => Promise<T>

type Handle<T> = (manager: SimManager, signal: AbortSignal) => Promise<T>

const attemptMs = 2_000
const pauseMs = 50
const repeatable = ['NOT_LEADER', 'OUTCOME_UNKNOWN', 'UNAVAILABLE', 'NO_LEADER'] as const

export class SimApi {
  readonly clock: Clock
  /** Acknowledged writes. */
  acknowledged = 0
  /** Attempts that had to be repeated. */
  repeated = 0
  readonly #around: Surroundings
  readonly #place: Place

  /** `host` is where the user sits. */
  constructor(host: string, around: Surroundings) {
    this.#around = around
    const process = new SimProcess(host, around.world, 1)
    this.#place = { host, process }
    this.clock = new SimClock(process, around.wallMs)
  }

  /** Until it is acknowledged. Errors: what the handler says that a repeat does not mend. */
  async write<T>(request: ApiRequest<T>): Promise<T> {
    const { random, bug } = this.#around
    let requestId = newId(random)
    let asked = this.#anyManager()
    while (true) {
      try {
        const result = await this.#attempt(asked, (manager, signal) => {
          const leader = manager.leaderNodeId()
          if (leader !== undefined && leader !== manager.place.host) throw elsewhere(leader)
          return request(manager, requestId, signal)
        })
        this.acknowledged += 1
        return result
      } catch (err) {
        if (!hasCode(err, ...repeatable)) throw err
        this.repeated += 1
        if (bug === 'new-request-ids') requestId = newId(random)
        const leader = err.details.leader
        asked = typeof leader === 'string' ? leader : this.#anyManager()
        await wait(this.clock, pauseMs)
      }
    }
  }

  /** One attempt at any manager; undefined when there was no answer. Errors: what the handler says. */
  async read<T>(handle: Handle<T>): Promise<T | undefined> {
    try {
      return await this.#attempt(this.#anyManager(), handle)
    } catch (err) {
      if (hasCode(err, ...repeatable, 'CANCELLED')) return undefined
      throw err
    }
  }

  #anyManager(): string {
    const { random, managers } = this.#around
    return random.pick(managers) ?? ''
  }

  #attempt<T>(host: string, handle: Handle<T>): Promise<T> {
    const { links, find } = this.#around
    const stream = links.connect<undefined, { readonly result: T }>(this.#place, host, () =>
      find(host)?.manager?.serves(async (manager, far) => {
        const result = await handle(manager, far.signal)
        await far.send({ result })
      }),
    )
    return new Promise((resolve, reject) => {
      const timer = this.clock.setTimer(attemptMs, () => stream.close(unavailable()))
      const read = async (): Promise<void> => {
        for await (const { result } of stream.incoming) {
          resolve(result)
          stream.close()
        }
        throw unavailable()
      }
      read()
        .catch(reject)
        .finally(() => timer.cancel())
    })
  }
}

function elsewhere(leader: string): SwarmError {
  return new SwarmError('NOT_LEADER', `${leader} leads`, { details: { leader } })
}

function unavailable(): SwarmError {
  return new SwarmError('UNAVAILABLE', 'no answer')
}
