// What runs in the Raft thread: storage, driver and peer transport, spoken to through a port.
import {
  DamagedLogError,
  RaftDriver,
  rotateKeyFile,
  type Storage,
  systemRandomBytes,
} from 'raft-ts'
import { unreachable } from '../../proto/lib/assert.ts'
import type { Clock, Timer } from '../../proto/lib/clock.ts'
import type { Random } from '../../proto/lib/random.ts'
import { unpackProposals } from './entry-pack.ts'
import { isRepairable, openLog } from './open-log.ts'
import { OutcomeBatch } from './outcome-batch.ts'
import { PeerTransport } from './peer-transport.ts'
import { PortStateMachine } from './port-state-machine.ts'
import { raftError, raftErrorCode, raftErrorText } from './raft-errors.ts'
import type { Leadership } from './raft-handle.ts'
import { handleLeadership, handleStatus, handleTransfer } from './raft-status.ts'
import type {
  FromThread,
  Port,
  RaftAnswer,
  RaftRequest,
  ThreadConfig,
  ToThread,
} from './thread-messages.ts'

const pingMs = 500
/** The main thread is taken for dead after so many pings without an answer (5 s): another member shall lead. */
const pingsUnansweredMax = 10
/** How long stopping waits for another member to take over. */
const handOverMs = 2_000
/** Between two looks for a snapshot that was asked for. */
const compactPollMs = 10
/** How long damage that was met may take to be written down. */
const suspectMs = 2_000

export interface HostOptions {
  readonly config: ThreadConfig
  readonly port: Port<FromThread, ToThread>
  readonly clock: Clock
  readonly random: Random
  /** The host ended, by request or by itself. */
  readonly onEnded: () => void
}

export class RaftHost {
  readonly #options: HostOptions
  readonly #machine: PortStateMachine
  readonly #outcomes = new OutcomeBatch()
  #peers: ThreadConfig['peers']
  #storage: Storage | undefined
  #transport: PeerTransport | undefined
  #driver: RaftDriver | undefined
  #leadership: Leadership = { role: 'follower', leader: undefined, term: 0 }
  #heldApply: Extract<FromThread, { readonly kind: 'apply' }> | undefined
  #isFlushDue = false
  #isEnded = false
  #isFailing = false
  #rotating: Promise<void> = Promise.resolve()
  #pingsUnanswered = 0
  #pingTimer: Timer | undefined

  constructor(options: HostOptions) {
    this.#options = options
    this.#peers = options.config.peers
    this.#machine = new PortStateMachine((message, transfer) => this.#post(message, transfer))
    options.port.on('message', (message) => this.#heard(message))
  }

  /** Opens the log, listens, and takes part. Ends the host when one of them fails. */
  async start(): Promise<void> {
    const { config } = this.#options
    try {
      this.#storage = await openLog(config, (level, fields, text) => this.#log(level, fields, text))
      this.#transport = await PeerTransport.listen({
        selfId: config.id,
        group: config.group,
        listenAddress: config.listenAddress,
        credentials: config.credentials,
        clock: this.#options.clock,
        onMessage: (message) => this.#driver?.receive(message),
        onUnreachable: (id) => this.#driver?.unreachable(id),
        onGone: (id) => this.#driver?.gone(id),
        onNote: ({ kind, facts }) => this.#log('debug', { note: kind, ...facts }, 'raft peers'),
      })
      this.#transport.setPeers(config.peers)
      this.#driver = this.#makeDriver(this.#storage, this.#transport)
      this.#post({ kind: 'started', status: this.#status(this.#driver) })
      this.#driver.start()
      this.#ping()
    } catch (err) {
      this.#fail(raftError(err))
    }
  }

  #makeDriver(storage: Storage, transport: PeerTransport): RaftDriver {
    const { config, clock, random } = this.#options
    const { tickMs, heartbeatTicks, electionTicks } = config.timing
    return new RaftDriver({
      id: config.id,
      storage,
      transport,
      stateMachine: this.#machine,
      clock,
      random,
      tickMs,
      tuning: { heartbeatTicks, electionTicks },
      snapshotPolicy: { logBytes: config.snapshotLogBytes },
      // In the same turn: one more of the loop at each of four places of a commit is what its proposer would wait for.
      defer: (run) => queueMicrotask(run),
      onLeadership: (leadership) => {
        this.#leadership = handleLeadership(leadership)
        this.#post({ kind: 'leadership', leadership: this.#leadership })
      },
      onNote: ({ kind, facts }) => {
        // Who was told of the damage wants to know when it is over.
        this.#log(kind === 'repaired' ? 'warn' : 'info', { note: kind, ...facts }, 'raft')
      },
      onFailed: (err) => this.#fail(err),
    })
  }

  #heard(message: ToThread): void {
    switch (message.kind) {
      case 'propose':
        this.#propose(message.packed)
        return
      case 'request':
        this.#request(message.id, message.request)
        return
      case 'set-peers':
        this.#peers = message.peers
        this.#transport?.setPeers(message.peers)
        return
      case 'set-credentials':
        this.#transport?.setCredentials(message.credentials)
        return
      case 'pong':
        this.#pingsUnanswered = 0
        return
      case 'machine-failed':
        this.#fail(new Error(`the state machine failed: ${message.reason}`))
        return
      case 'applied':
      case 'snapshot-chunk':
      case 'snapshot-failed':
      case 'restore-pull':
      case 'restored':
        this.#machine.heard(message)
        return
      default:
        unreachable(message, 'message to the Raft thread')
    }
  }

  #propose(packed: ArrayBuffer): void {
    for (const { sequence, data } of unpackProposals(packed)) {
      if (this.#driver === undefined) this.#answered(sequence)
      else this.#driver.propose(data, (outcome) => this.#outcome(sequence, outcome))
    }
  }

  #answered(sequence: number): void {
    this.#outcome(sequence, { kind: 'not-leader', leader: undefined })
  }

  #outcome(sequence: number, outcome: Parameters<OutcomeBatch['add']>[1]): void {
    this.#outcomes.add(sequence, outcome)
    this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    queueMicrotask(() => {
      this.#isFlushDue = false
      this.#flush()
    })
  }

  /** Nothing overtakes what was posted before. Entries wait for the outcomes that mostly follow at once. */
  #post(message: FromThread, transfer: readonly ArrayBuffer[] = []): void {
    this.#flush()
    if (message.kind === 'apply') {
      this.#heldApply = message
      this.#flushSoon()
    } else this.#options.port.postMessage(message, transfer)
  }

  #flush(): void {
    const { port } = this.#options
    const apply = this.#heldApply
    this.#heldApply = undefined
    if (apply !== undefined) {
      const committed = this.#outcomes.takeCommitted()
      const transfer = committed === undefined ? [apply.packed] : [apply.packed, committed.buffer]
      port.postMessage({ ...apply, committed }, transfer)
    }
    this.#outcomes.flush((message, transfer = []) => port.postMessage(message, transfer))
  }

  #request(id: number, request: RaftRequest): void {
    const answer = (value: RaftAnswer): void => this.#post({ kind: 'answer', id, answer: value })
    const driver = this.#driver
    if (request.kind === 'stop') {
      this.#stop(() => answer({ kind: 'stop' }))
      return
    }
    // Started or ended: the handle knows.
    if (driver === undefined) return
    switch (request.kind) {
      case 'read':
        driver.readIndex((outcome) => {
          const isReady = outcome.kind === 'ready'
          answer({ kind: 'read', outcome: isReady ? outcome : { kind: 'no-leader' } })
        })
        return
      case 'status':
        answer({ kind: 'status', status: this.#status(driver) })
        return
      case 'change':
        driver.change({ steps: request.steps }, (outcome) => answer({ kind: 'change', outcome }))
        return
      case 'transfer':
        driver.transferLeadership(request.to, (outcome) =>
          answer({ kind: 'transfer', outcome: handleTransfer(outcome) }),
        )
        return
      case 'rotate-keys':
        this.#rotateKeys(() => answer({ kind: 'rotate-keys' }))
        return
      case 'compact':
        driver.compact()
        this.#whenCompacted(driver, driver.status().applied, answer)
        return
      default:
        unreachable(request, 'request to the Raft thread')
    }
  }

  /** One rotation after the other. A failure is the disk's, and ends the host. */
  #rotateKeys(done: () => void): void {
    const storage = this.#storage
    if (storage === undefined) return
    const { keyFile } = this.#options.config
    this.#rotating = this.#rotating
      .then(() => rotateKeyFile(keyFile, storage, systemRandomBytes))
      .then(() => settled((rotated) => storage.rotateDataKey(rotated)))
      .then(done, (err: Error) => this.#fail(err))
  }

  #status(driver: RaftDriver): ReturnType<typeof handleStatus> {
    return handleStatus(driver.status(), this.#leadership)
  }

  #whenCompacted(driver: RaftDriver, index: number, answer: (value: RaftAnswer) => void): void {
    const newest = this.#storage?.snapshots.newest
    if (index === 0) {
      answer({ kind: 'compact', at: { index: 0, term: 0 } })
      return
    }
    if (newest !== undefined && newest.index >= index) {
      answer({ kind: 'compact', at: { index: newest.index, term: newest.term } })
      return
    }
    this.#options.clock.setTimer(compactPollMs, () => {
      if (!this.#isEnded) this.#whenCompacted(driver, index, answer)
    })
  }

  /** The watchdog over the main thread: who applies nothing must not lead. */
  #ping(): void {
    this.#pingsUnanswered += 1
    this.#post({ kind: 'ping' })
    this.#pingTimer = this.#options.clock.setTimer(pingMs, () => {
      const isDead = this.#pingsUnanswered >= pingsUnansweredMax
      if (isDead && this.#driver?.status().role === 'leader') {
        const seconds = (this.#pingsUnanswered * pingMs) / 1000
        this.#log('error', { seconds }, 'the main thread does not answer: giving up leadership')
        this.#driver.stepDown()
      }
      this.#ping()
    })
  }

  #stop(done: () => void): void {
    const driver = this.#driver
    if (driver === undefined) {
      this.#end()
      done()
      return
    }
    this.#handOver(driver, () => {
      driver.stop((err) => {
        if (err !== undefined) this.#log('error', { reason: err.message }, 'Raft log not closed')
        // Closed already: what is left is the transport.
        this.#driver = undefined
        this.#storage = undefined
        done()
        this.#end()
      })
    })
  }

  #handOver(driver: RaftDriver, done: () => void): void {
    let isOver = false
    const over = (): void => {
      if (isOver) return
      isOver = true
      timer.cancel()
      done()
    }
    const timer = this.#options.clock.setTimer(handOverMs, over)
    driver.transferLeadership(undefined, over)
  }

  #fail(err: Error): void {
    if (this.#isEnded || this.#isFailing) return
    this.#isFailing = true
    this.#remember(err, () => {
      if (this.#isEnded) return
      this.#post({ kind: 'failed', code: raftErrorCode(err), reason: raftErrorText(err) })
      this.#end()
    })
  }

  /** Damage that was met while running is repaired at the next start, whether or not it is seen again. */
  #remember(err: Error, done: () => void): void {
    const storage = this.#storage
    const isDamage = err instanceof DamagedLogError
    const { config } = this.#options
    if (!isDamage || storage === undefined || !isRepairable({ ...config, peers: this.#peers })) {
      done()
      return
    }
    let isOver = false
    const over = (): void => {
      if (isOver) return
      isOver = true
      timer.cancel()
      done()
    }
    const timer = this.#options.clock.setTimer(suspectMs, over)
    storage.suspect(over)
  }

  #end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#pingTimer?.cancel()
    this.#transport?.close()
    const { onEnded } = this.#options
    const driver = this.#driver
    this.#driver = undefined
    if (driver !== undefined) driver.stop(onEnded)
    else if (this.#storage !== undefined) this.#storage.close(onEnded)
    else onEnded()
  }

  #log(
    level: 'debug' | 'info' | 'warn' | 'error',
    fields: Readonly<Record<string, unknown>>,
    message: string,
  ): void {
    this.#post({ kind: 'log', level, fields, message })
  }
}

function settled(run: (done: (err?: Error) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    run((err) => (err === undefined ? resolve() : reject(err)))
  })
}
