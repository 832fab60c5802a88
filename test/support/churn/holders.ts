// Whose an address was and when, by the store; and whether who answered there was right to. Pure.
import { hasEnded, type Picture } from './picture.ts'

export interface Payload {
  /** When it was sent, on the wall clock. */
  readonly sentMs: number
  readonly networkId: string
  readonly address: string
  /** Who was meant: the holder of the address as the sender knew it. */
  readonly kind: 'task' | 'service'
  readonly id: string
}

export interface Arrival {
  readonly payload: Payload
  /** Where it arrived. */
  readonly taskId: string
  readonly atMs: number
}

interface Holding {
  readonly kind: 'task' | 'service'
  readonly id: string
  /** It was not before this, */
  readonly earliestMs: number
  /** it surely was from this */
  readonly sinceMs: number
  /** to this, */
  untilMs: number
  /** and was not after this. */
  latestMs: number
}

export class Holders {
  readonly #byAddress = new Map<string, Holding[]>()
  readonly #open = new Map<string, Holding>()
  readonly #services = new Map<string, string>()
  readonly #born = new Set<string>()
  #lastMs = 0
  /** Addresses that were given to a second task or service, and how often. */
  reused = 0

  /** Tasks with an address so far. */
  get lives(): number {
    return this.#born.size
  }

  /** Takes a picture in. Returns what is wrong with it: an address that two have at once. */
  note(picture: Picture): readonly string[] {
    const wrong: string[] = []
    const seen = new Set<string>()
    const hold = (place: string, kind: Holding['kind'], id: string): void => {
      const key = `${place} ${kind} ${id}`
      seen.add(key)
      const open = this.#open.get(key)
      if (open === undefined) this.#begin(place, key, { kind, id, picture })
      else open.untilMs = picture.fromMs
    }
    for (const { id, vips } of picture.services) {
      for (const [network, address] of vips) hold(`${network} ${address}`, 'service', id)
    }
    for (const task of picture.tasks) {
      if (hasEnded(task)) continue
      this.#services.set(task.id, task.serviceId)
      for (const [network, address] of task.addresses) {
        this.#born.add(task.id)
        hold(`${network} ${address}`, 'task', task.id)
      }
    }
    for (const [key, open] of this.#open) {
      if (seen.has(key)) continue
      open.latestMs = picture.toMs
      this.#open.delete(key)
    }
    const places = new Map<string, string>()
    for (const key of seen) {
      const [network, address, , id = ''] = key.split(' ')
      const other = places.get(`${network} ${address}`)
      if (other !== undefined) wrong.push(`${address} is that of ${other} and of ${id}`)
      places.set(`${network} ${address}`, id)
    }
    this.#lastMs = picture.fromMs
    return wrong
  }

  /** What is wrong with it; undefined: nothing. The pictures must reach beyond it. */
  judge({ payload, taskId, atMs }: Arrival): string | undefined {
    const { sentMs, networkId, address, kind } = payload
    const holdings = this.#byAddress.get(`${networkId} ${address}`) ?? []
    const holder = kind === 'task' ? taskId : (this.#services.get(taskId) ?? '')
    const who = `${kind} ${payload.id} at ${address} was asked at ${sentMs}, and task ${taskId} (of ${this.#services.get(taskId)}) answered at ${atMs}`
    const other = holdings.find(
      (one) => one.id !== holder && one.sinceMs <= sentMs && one.untilMs >= atMs,
    )
    if (other !== undefined) return `${who}: it was that of ${other.kind} ${other.id} all the time`
    const own = holdings.filter((one) => one.kind === kind && one.id === holder)
    // A service that was removed may be reached until its address is another's.
    const isPast = (one: Holding): boolean => kind === 'task' && one.latestMs < sentMs
    if (own.some((one) => one.earliestMs <= atMs && !isPast(one))) return undefined
    return `${who}: the address was not its`
  }

  /** Up to when judge can be asked. */
  get knownUntilMs(): number {
    return this.#lastMs
  }

  #begin(
    place: string,
    key: string,
    { kind, id, picture }: { readonly kind: Holding['kind']; id: string; picture: Picture },
  ): void {
    const list = this.#byAddress.get(place) ?? []
    this.#byAddress.set(place, list)
    if (list.length > 0) this.reused += 1
    const holding: Holding = {
      kind,
      id,
      earliestMs: this.#lastMs,
      sinceMs: picture.toMs,
      untilMs: picture.fromMs,
      latestMs: Number.POSITIVE_INFINITY,
    }
    list.push(holding)
    this.#open.set(key, holding)
  }
}
