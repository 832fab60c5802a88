// One simulated host: its namespace, disk and clock, and the member process on it, one at a time.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Leadership, RaftCredentials, RaftPeer } from '../../manager/raft/raft-handle.ts'
import { faketimeLibrary, removeFaketimeFiles } from '../support/faketime.ts'
import { MemberProcess, NoAnswerError } from './member-process.ts'
import { addressOf, type HostNetwork } from './network.ts'
import type { CallAnswer, Order, StateAnswer } from './orders.ts'
import { SlowDisk } from './slow-disk.ts'

const startDeadlineMs = 60_000
const orderDeadlineMs = 5_000
const port = 2378

export interface HostOptions {
  readonly number: number
  /** Of the whole cluster. */
  readonly directory: string
  readonly network: HostNetwork
  readonly slowDiskLibrary: string
  readonly snapshotLogBytes: number
  readonly readsLocally: boolean
  readonly credentials: (nodeId: string) => Promise<RaftCredentials>
  readonly peers: () => readonly RaftPeer[]
  readonly onLeadership: (id: string, leadership: Leadership) => void
  readonly onFailed: (reason: string) => void
}

export class Host {
  readonly number: number
  readonly nodeId: string
  readonly disk: SlowDisk
  readonly #options: HostOptions
  readonly #clockFile: string
  readonly #pids: number[] = []
  #lives = 0
  #process: MemberProcess | undefined
  #isReady = false
  /** The Raft id that lives here; undefined: none shall. */
  #id: string | undefined
  /** Starts and kills come one after the other. */
  #turn: Promise<void> = Promise.resolve()

  constructor(options: HostOptions) {
    this.#options = options
    this.number = options.number
    this.nodeId = `node-${options.number}`
    const base = join(options.directory, this.nodeId)
    mkdirSync(base)
    this.disk = new SlowDisk(join(base, 'disk'))
    this.#clockFile = join(base, 'clock')
    this.setClock(0)
  }

  /** The member that lives here, running or not. */
  get id(): string | undefined {
    return this.#id
  }

  get peer(): RaftPeer | undefined {
    const address = `${addressOf(this.number)}:${port}`
    return this.#id === undefined ? undefined : { id: this.#id, nodeId: this.nodeId, address }
  }

  /** Whether it takes orders, as far as is known. */
  get isReady(): boolean {
    return this.#isReady
  }

  get process(): MemberProcess | undefined {
    return this.#process
  }

  /** A new member with an empty disk; `start` starts it. */
  assign(): string {
    this.#lives += 1
    this.#id = `m${this.number}-${this.#lives}`
    return this.#id
  }

  /** Starts the member unless it runs, or none shall live here. */
  start(isFounder = false): Promise<void> {
    return this.#next(async () => {
      const id = this.#id
      if (id === undefined || this.#process !== undefined) return
      const { onLeadership, onFailed, network } = this.#options
      const process = new MemberProcess({
        enter: network.enter(this.number),
        env: this.#environment(),
        onLeadership: (leadership) => onLeadership(id, leadership),
        onFailed: (reason) => onFailed(`${id}: ${reason}`),
      })
      this.#process = process
      this.#pids.push(process.pid)
      await this.#begin(process, id, isFounder)
    })
  }

  async #begin(process: MemberProcess, id: string, isFounder: boolean): Promise<void> {
    const { snapshotLogBytes, readsLocally, peers, credentials } = this.#options
    const config = {
      id,
      directory: join(this.#options.directory, this.nodeId, id),
      listenAddress: `${addressOf(this.number)}:${port}`,
      credentials: await credentials(this.nodeId),
      peers: peers(),
      isFounder,
      snapshotLogBytes,
      readsLocally,
    }
    await process.order({ kind: 'start', config }, startDeadlineMs)
    this.#isReady = true
    // They may have changed meanwhile.
    this.tellPeers()
  }

  /** As kill -9; resolves when it is gone. */
  kill(): Promise<void> {
    return this.#next(async () => {
      this.#isReady = false
      await this.#process?.kill()
      this.#process = undefined
    })
  }

  /** Ends the member for good and wipes its disk. */
  async retire(): Promise<void> {
    const id = this.#id
    this.#id = undefined
    await this.kill()
    if (id === undefined) return
    const directory = join(this.#options.directory, this.nodeId, id)
    rmSync(directory, { recursive: true, force: true })
    rmSync(`${directory}.key`, { force: true })
  }

  tellPeers(): void {
    if (!this.#isReady) return
    // In order behind whatever was sent before; one that is stopped reads it later.
    this.order({ kind: 'set-peers', peers: this.#options.peers() }).catch(() => {})
  }

  /** Errors: NoAnswerError; any other: the member refused it. */
  order(order: Order, deadlineMs = orderDeadlineMs): Promise<unknown> {
    const process = this.#process
    if (process === undefined || !this.#isReady) {
      return Promise.reject(new NoAnswerError('it does not run'))
    }
    return process.order(order, deadlineMs)
  }

  async call(order: Extract<Order, { kind: 'call' }>, deadlineMs: number): Promise<CallAnswer> {
    return (await this.order(order, deadlineMs)) as CallAnswer
  }

  async state(deadlineMs = 1000): Promise<StateAnswer> {
    return (await this.order({ kind: 'state' }, deadlineMs)) as StateAnswer
  }

  /** The time of day here, as difference to the machine's. */
  setClock(offsetSeconds: number): void {
    const sign = offsetSeconds < 0 ? '' : '+'
    writeFileSync(`${this.#clockFile}.new`, `${sign}${Math.round(offsetSeconds)}\n`)
    renameSync(`${this.#clockFile}.new`, this.#clockFile)
  }

  async end(): Promise<void> {
    await this.kill()
    removeFaketimeFiles(this.#pids)
  }

  #environment(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: `${this.#options.slowDiskLibrary}:${faketimeLibrary()}`,
      SLOW_DISK_FILE: this.disk.file,
      FAKETIME_TIMESTAMP_FILE: this.#clockFile,
      FAKETIME_CACHE_DURATION: '1',
      DONT_FAKE_MONOTONIC: '1',
    }
  }

  #next(run: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(run)
    this.#turn = turn.catch(() => {})
    return turn
  }
}
