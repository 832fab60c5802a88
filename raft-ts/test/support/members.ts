// Members with real time and disks, each with a list of words as its state.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type MemberOptions,
  type PeerNetwork,
  type PlainStateMachine,
  plainStateMachine,
  type RaftMember,
  startMember,
} from 'raft-ts/node'
import { until } from './until.ts'

/** Collects words; applying one gives the number of words then. */
export class Words implements PlainStateMachine<number> {
  words: string[] = []

  apply(data: Uint8Array): number {
    this.words.push(Buffer.from(data).toString())
    return this.words.length
  }

  snapshot(): Uint8Array {
    return Buffer.from(JSON.stringify(this.words))
  }

  restore(bytes: Uint8Array): void {
    this.words = JSON.parse(Buffer.from(bytes).toString()) as string[]
  }
}

/** A member and what it holds. */
export interface Held {
  readonly member: RaftMember<number>
  readonly words: Words
  readonly failures: readonly Error[]
}

/** Members in folders of one temporary directory, which go with the test. */
export class Members {
  readonly directory = mkdtempSync(join(tmpdir(), 'raft-ts-members-'))
  readonly #running = new Set<RaftMember<number>>()

  constructor(t: { teardown(run: () => Promise<void>): void }) {
    t.teardown(async () => {
      await Promise.all([...this.#running].map((member) => member.stop()))
      rmSync(this.directory, { recursive: true })
    })
  }

  async start(
    id: string,
    network: PeerNetwork,
    options: Partial<MemberOptions<number>> = {},
  ): Promise<Held> {
    const words = new Words()
    const failures: Error[] = []
    const member = await startMember({
      id,
      directory: join(this.directory, id),
      network,
      stateMachine: plainStateMachine(words),
      onFailed: (err) => failures.push(err),
      ...options,
    })
    this.#running.add(member)
    return { member, words, failures }
  }

  async stop(held: Held): Promise<void> {
    this.#running.delete(held.member)
    await held.member.stop()
  }
}

/** The one that leads, once there is one. */
export function leaderOf(all: readonly Held[]): Promise<Held> {
  return until('a leader', () => all.find(({ member }) => member.isLeader))
}

/** Proposes to whoever leads until it is committed; the result. A word may so be there twice. */
export function propose(all: readonly Held[], word: string): Promise<number> {
  return until(`${word} is committed`, async () => {
    const leader = await leaderOf(all)
    const outcome = await leader.member.propose(Buffer.from(word))
    return outcome.kind === 'committed' ? outcome.result : undefined
  })
}
