// What this node knows of the way to each other node: whether packets come back, and how large they may be. Decides which
// probes to send when, and what follows from answers and their absence; times and chance are arguments, nothing is sent here.
import type { Random } from '../../proto/lib/random.ts'
import type { NodeId } from '../../proto/objects/ids.ts'

export interface Peer {
  readonly nodeId: NodeId
  /** Outer address of its VXLAN packets. */
  readonly vtep: string
  /** Its IPv4 transit address: probes go there. */
  readonly address: string
  /** The largest packet that any network may send there, in bytes. */
  readonly mtuMax: number
  /** The cluster has lost it: that it is silent is no news. */
  readonly isDown: boolean
}

export type PeerState = 'reachable' | 'silent' | 'unknown'

export interface PeerReport {
  readonly nodeId: NodeId
  readonly vtep: string
  readonly state: PeerState
  /** The largest packet of a container that gets through whole, in bytes; undefined: not known yet. */
  readonly mtu: number | undefined
  /** For how long the state has been so. */
  readonly sinceMs: number
  readonly isDown: boolean
}

export interface Probe {
  readonly address: string
  readonly sequence: number
  /** Of the whole packet as a container would send it. */
  readonly bytes: number
}

/** Large enough for header and contents of a probe, small enough for every path. */
export const probeBytesMin = 64

/** A round of probes is over after this time, or when all are answered. */
const answerMs = 600
/** Rounds without an answer until a peer counts as silent, and without a full packet until a smaller one is looked for. */
const doubtsMax = 3
/** Calm peers are asked this often, a thousand of them 50 a second. */
const calmMs = 2_000
const calmPerPeerMs = 20
/** So are silent ones, that they are not silent for longer than they must. */
const silentMs = 1_000
/** How often a path that carries less than it might is tried with more. */
const raiseMs = 60_000
/** Packets of a round that looks for the largest: two rounds find it among 289 sizes, three among 4,900. */
const searchSizes = 16
/** Of all new peers, this time apart on average. */
const spreadMs = 10
/** Rounds begun at once. The others wait for the next look. */
const roundsMax = 20

type Aim = 'calm' | 'search'

interface Round {
  readonly sequence: number
  readonly aim: Aim
  readonly endsAtMs: number
  readonly sizes: readonly number[]
  readonly answered: Set<number>
}

interface Entry {
  peer: Peer
  state: PeerState
  stateAtMs: number
  mtu: number | undefined
  /** Rounds in a row without a full packet back. */
  doubts: number
  /** Whether one of these brought a small packet back. */
  heard: boolean
  /** While it is looked for: gets through, and does not. */
  search: { readonly low: number; readonly high: number } | undefined
  raiseAtMs: number
  nextAtMs: number
  round: Round | undefined
}

export class PeerTable {
  readonly #random: Random
  readonly #entries = new Map<string, Entry>()
  #sequence = 0
  #silent = 0
  #changes = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** These and no others from now on. What is known of those that stay where they are is kept. */
  set(peers: readonly Peer[], nowMs: number): void {
    const wanted = new Map(peers.map((peer) => [peer.address, peer]))
    for (const [address, { peer }] of this.#entries) {
      const now = wanted.get(address)
      if (now !== undefined && now.nodeId === peer.nodeId && now.vtep === peer.vtep) continue
      this.#entries.delete(address)
      this.#changes += 1
    }
    for (const [address, peer] of wanted) {
      const entry = this.#entries.get(address)
      if (entry === undefined) this.#entries.set(address, this.#fresh(peer, peers.length, nowMs))
      else this.#renew(entry, peer, nowMs)
    }
    this.#silent = [...this.#entries.values()].filter(({ state }) => state === 'silent').length
  }

  get size(): number {
    return this.#entries.size
  }

  /** Rises with each change of a state or MTU. */
  get changes(): number {
    return this.#changes
  }

  /** What to send now. Called a few times a second; O(peers). */
  due(nowMs: number): readonly Probe[] {
    const probes: Probe[] = []
    let begun = 0
    for (const entry of this.#entries.values()) {
      if (entry.round !== undefined && nowMs >= entry.round.endsAtMs) this.#end(entry, nowMs)
      if (entry.round !== undefined || nowMs < entry.nextAtMs || begun >= roundsMax) continue
      begun += 1
      probes.push(...this.#begin(entry, nowMs))
    }
    return probes
  }

  answered({ address, sequence, bytes }: Probe, nowMs: number): void {
    const entry = this.#entries.get(address)
    const round = entry?.round
    if (entry === undefined || round?.sequence !== sequence || !round.sizes.includes(bytes)) return
    round.answered.add(bytes)
    if (round.answered.size === round.sizes.length) this.#end(entry, nowMs)
  }

  reports(nowMs: number): readonly PeerReport[] {
    return [...this.#entries.values()].map(({ peer, state, mtu, stateAtMs }) => {
      const { nodeId, vtep, isDown } = peer
      return { nodeId, vtep, state, mtu, sinceMs: Math.round(nowMs - stateAtMs), isDown }
    })
  }

  #fresh(peer: Peer, count: number, nowMs: number): Entry {
    this.#changes += 1
    return {
      peer,
      state: 'unknown',
      stateAtMs: nowMs,
      mtu: undefined,
      doubts: 0,
      heard: false,
      search: undefined,
      raiseAtMs: 0,
      nextAtMs: nowMs + this.#random.float() * count * spreadMs,
      round: undefined,
    }
  }

  #renew(entry: Entry, peer: Peer, nowMs: number): void {
    const { isDown, mtuMax } = entry.peer
    entry.peer = peer
    if (isDown && !peer.isDown) {
      // It gets the time of a new one.
      this.#become(entry, 'unknown', nowMs)
      entry.nextAtMs = nowMs
    }
    if (mtuMax === peer.mtuMax) return
    entry.search = undefined
    entry.round = undefined
    entry.raiseAtMs = nowMs
    entry.nextAtMs = nowMs
    if (entry.mtu !== undefined) this.#setMtu(entry, Math.min(entry.mtu, peer.mtuMax))
  }

  #begin(entry: Entry, nowMs: number): readonly Probe[] {
    const { peer, search, mtu } = entry
    this.#sequence = (this.#sequence + 1) >>> 0
    if (
      search === undefined &&
      mtu !== undefined &&
      mtu < peer.mtuMax &&
      nowMs >= entry.raiseAtMs
    ) {
      entry.raiseAtMs = nowMs + raiseMs
      if (entry.doubts === 0) entry.search = { low: mtu, high: peer.mtuMax + 1 }
    }
    const sizes = entry.search === undefined ? calmSizes(entry) : sizesBetween(entry.search)
    entry.round = {
      sequence: this.#sequence,
      aim: entry.search === undefined ? 'calm' : 'search',
      endsAtMs: nowMs + answerMs,
      sizes,
      answered: new Set(),
    }
    const { sequence } = entry.round
    return sizes.map((bytes) => ({ address: peer.address, sequence, bytes }))
  }

  #end(entry: Entry, nowMs: number): void {
    const { round } = entry
    if (round === undefined) return
    entry.round = undefined
    if (round.aim === 'search') this.#endSearch(entry, round, nowMs)
    else this.#endCalm(entry, round, nowMs)
  }

  #endCalm(entry: Entry, { answered }: Round, nowMs: number): void {
    const full = fullSize(entry)
    if (answered.has(full)) {
      entry.doubts = 0
      entry.heard = false
      if (entry.mtu !== full) this.#setMtu(entry, full)
      this.#become(entry, 'reachable', nowMs)
      entry.nextAtMs = nowMs + this.#pause(calmMs, calmPerPeerMs * this.#entries.size)
      return
    }
    entry.doubts += 1
    entry.heard ||= answered.size > 0
    // At once: what was silent is there again.
    if (answered.size > 0) this.#become(entry, 'reachable', nowMs)
    entry.nextAtMs = nowMs
    const isSilent = entry.state === 'silent'
    if (entry.doubts < doubtsMax && !isSilent) return
    if (entry.heard) {
      entry.search = { low: probeBytesMin, high: full }
    } else {
      this.#become(entry, 'silent', nowMs)
      entry.nextAtMs = nowMs + this.#pause(silentMs, calmPerPeerMs * this.#silent)
    }
    entry.doubts = 0
    entry.heard = false
  }

  #endSearch(entry: Entry, { answered, sizes }: Round, nowMs: number): void {
    const { low, high } = entry.search ?? { low: probeBytesMin, high: entry.peer.mtuMax + 1 }
    const found = Math.max(low, ...answered)
    const above = Math.min(high, ...sizes.filter((size) => size > found))
    entry.nextAtMs = nowMs
    if (above - found > 1) {
      entry.search = { low: found, high: above }
      return
    }
    entry.search = undefined
    entry.raiseAtMs = nowMs + raiseMs
    // Nothing of this size was seen to come back: what comes next tells whether it is silent.
    if (found > probeBytesMin) this.#setMtu(entry, found)
  }

  #become(entry: Entry, state: PeerState, nowMs: number): void {
    if (entry.state === state) return
    if (state === 'silent') this.#silent += 1
    else if (entry.state === 'silent') this.#silent -= 1
    entry.state = state
    entry.stateAtMs = nowMs
    this.#changes += 1
  }

  #setMtu(entry: Entry, mtu: number): void {
    if (entry.mtu === mtu) return
    entry.mtu = mtu
    this.#changes += 1
  }

  /** With a quarter more or less, so that peers do not fall in step. */
  #pause(leastMs: number, ms: number): number {
    return Math.max(leastMs, ms) * (0.75 + this.#random.float() / 2)
  }
}

/** What the path should carry as far as it is known. */
function fullSize({ mtu, peer }: Entry): number {
  return mtu ?? peer.mtuMax
}

/** One packet while all is well. A small one beside it tells a narrow path from a closed one. */
function calmSizes(entry: Entry): readonly number[] {
  const full = fullSize(entry)
  const isCalm = entry.state === 'reachable' && entry.doubts === 0 && entry.mtu !== undefined
  return isCalm ? [full] : [probeBytesMin, full]
}

/** Evenly between what gets through and what does not, without the two. */
export function sizesBetween({
  low,
  high,
}: {
  readonly low: number
  readonly high: number
}): number[] {
  const count = Math.min(searchSizes, high - low - 1)
  return Array.from({ length: count }, (_, index) =>
    Math.floor(low + ((high - low) * (index + 1)) / (count + 1)),
  )
}
