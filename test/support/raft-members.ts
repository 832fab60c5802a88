// Several Raft member processes on loopback with mutual TLS, ordered about by a test.
import { type ChildProcess, fork } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRootCa, issueCertificate, type RootCa } from '../../manager/ca/root-ca.ts'
import type {
  ChangeOutcome,
  RaftCredentials,
  RaftPeer,
  ReadOutcome,
  SnapshotPoint,
  TransferOutcome,
} from '../../manager/raft/raft-handle.ts'
import { createNodeKey } from '../../worker/identity/node-key.ts'
import { freeAddress } from './free-ports.ts'
import type {
  Batch,
  BlockResult,
  Found,
  LoadResult,
  MemberLine,
  MemberOrder,
  MemberState,
} from './raft-member.ts'

const script = new URL('./raft-member.js', import.meta.url).pathname

type Reply =
  | { readonly kind: 'done'; readonly id: number; readonly result: unknown }
  | {
      readonly kind: 'refused'
      readonly id: number
      readonly code: string | undefined
      readonly message: string
    }
  | { readonly kind: 'closed'; readonly code: string; readonly message: string }
  | { readonly kind: 'log'; readonly line: MemberLine }

/** An order that was refused. */
export class OrderError extends Error {
  readonly code: string | undefined

  constructor(message: string, code: string | undefined) {
    super(message)
    this.code = code
  }
}

/** A certificate of a manager, signed by the root. */
export async function managerCredentials(
  root: RootCa,
  nodeId: string,
  lifeMs = 3_600_000,
  nowMs = Date.now(),
): Promise<RaftCredentials> {
  const { csrPem, keyPem } = await createNodeKey()
  const subject = { nodeId, role: 'manager', clusterId: 'test' } as const
  const certPem = await issueCertificate(root, { subject, csrPem, nowMs, lifeMs })
  return { certPem: certPem + root.certPem, keyPem, caPem: root.certPem }
}

export class Member {
  readonly peer: RaftPeer
  readonly cluster: MemberProcesses
  /** How the handle ended by itself. */
  closed: { readonly code: string; readonly message: string } | undefined
  /** What the present or last process logged. */
  lines: MemberLine[] = []
  #child: ChildProcess | undefined
  #nextId = 0
  readonly #waiting = new Map<
    number,
    { readonly resolve: (result: unknown) => void; readonly reject: (err: Error) => void }
  >()

  constructor(peer: RaftPeer, cluster: MemberProcesses) {
    this.peer = peer
    this.cluster = cluster
  }

  get isUp(): boolean {
    return this.#child !== undefined
  }

  get directory(): string {
    return join(this.cluster.directory, this.peer.id)
  }

  /** `preload`: a module that its threads load first. */
  async start(
    options: { readonly isFounder?: boolean; readonly preload?: string } = {},
  ): Promise<void> {
    const { preload } = options
    const child = fork(script, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: [...process.execArgv, ...(preload === undefined ? [] : [`--import=${preload}`])],
    })
    this.closed = undefined
    this.lines = []
    this.#child = child
    child.on('message', (reply: Reply) => this.#heard(reply))
    child.on('exit', () => this.#gone(child))
    await this.order({
      kind: 'start',
      config: {
        id: this.peer.id,
        directory: this.directory,
        listenAddress: this.peer.address,
        credentials: await this.cluster.credentials(this.peer.nodeId),
        peers: this.cluster.peers,
        isFounder: options.isFounder ?? false,
        snapshotLogBytes: this.cluster.snapshotLogBytes,
        itemsMax: this.cluster.itemsMax,
      },
    })
  }

  order(order: MemberOrder): Promise<unknown> {
    const id = this.#nextId
    this.#nextId += 1
    return new Promise((resolve, reject) => {
      if (this.#child === undefined) {
        reject(new Error('the process does not run'))
        return
      }
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, order })
    })
  }

  async state(): Promise<MemberState> {
    return (await this.order({ kind: 'state' })) as MemberState
  }

  async propose(from: number, count: number, size = 256): Promise<Record<string, number>> {
    return (await this.order({ kind: 'propose', from, count, size })) as Record<string, number>
  }

  async load(proposers: number, ms: number, size = 256): Promise<LoadResult> {
    return (await this.order({ kind: 'load', proposers, ms, size })) as LoadResult
  }

  /** Listens for proposals over gRPC; resolves with the address. */
  async serve(): Promise<string> {
    return (await this.order({ kind: 'serve' })) as string
  }

  /** Blocks its main thread right after it proposed. */
  async block(ms: number, propose?: Batch): Promise<BlockResult> {
    return (await this.order({ kind: 'block', ms, ...(propose && { propose }) })) as BlockResult
  }

  async find(batch: Batch): Promise<Found> {
    return (await this.order({ kind: 'find', batch })) as Found
  }

  async read(): Promise<ReadOutcome> {
    return (await this.order({ kind: 'read' })) as ReadOutcome
  }

  async change(kind: 'add-learner' | 'add-voter' | 'remove', id: string): Promise<ChangeOutcome> {
    return (await this.order({ kind: 'change', steps: [{ kind, id }] })) as ChangeOutcome
  }

  async transfer(to?: string): Promise<TransferOutcome> {
    return (await this.order({ kind: 'transfer', to })) as TransferOutcome
  }

  async compact(): Promise<SnapshotPoint> {
    return (await this.order({ kind: 'compact' })) as SnapshotPoint
  }

  async rotateKeys(): Promise<void> {
    await this.order({ kind: 'rotate-keys' })
  }

  /** Whether a line says this; a note of Raft by its kind. */
  hasSaid(text: string): boolean {
    return this.lines.some(
      ({ message, fields }) => message.includes(text) || ('note' in fields && fields.note === text),
    )
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }

  /** As kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  #heard(reply: Reply): void {
    if (reply.kind === 'closed') {
      this.closed = { code: reply.code, message: reply.message }
      return
    }
    if (reply.kind === 'log') {
      this.lines.push(reply.line)
      return
    }
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if (reply.kind === 'done') waiting?.resolve(reply.result)
    else waiting?.reject(new OrderError(reply.message, reply.code))
  }

  #gone(child: ChildProcess): void {
    if (this.#child === child) this.#child = undefined
    for (const { reject } of this.#waiting.values()) reject(new Error('the process is gone'))
    this.#waiting.clear()
  }
}

export interface MemberOptions {
  /** Default 64 MiB. */
  readonly snapshotLogBytes?: number
  /** Newest entries that the state machine keeps; default all. */
  readonly itemsMax?: number
}

export class MemberProcesses {
  readonly directory: string
  readonly members: readonly Member[]
  readonly snapshotLogBytes: number
  readonly itemsMax: number
  readonly root: RootCa
  readonly #credentials = new Map<string, RaftCredentials>()

  private constructor(
    directory: string,
    addresses: readonly string[],
    root: RootCa,
    options: MemberOptions,
  ) {
    this.directory = directory
    this.root = root
    this.snapshotLogBytes = options.snapshotLogBytes ?? 64 * 1024 * 1024
    this.itemsMax = options.itemsMax ?? Number.MAX_SAFE_INTEGER
    this.members = addresses.map(
      (address, i) => new Member({ id: `raft-${i}`, nodeId: `node-${i}`, address }, this),
    )
  }

  /** Nothing runs yet. */
  static async create(count: number, options: MemberOptions = {}): Promise<MemberProcesses> {
    const directory = await mkdtemp(join(tmpdir(), 'tsswarm-raft-'))
    const addresses = await Promise.all(Array.from({ length: count }, freeAddress))
    const root = await createRootCa(Date.now())
    return new MemberProcesses(directory, addresses, root, options)
  }

  /** Starts all: the first one founds the cluster, the others are added as voters. */
  async found(): Promise<void> {
    const [founder, ...others] = this.members
    await founder?.start({ isFounder: true })
    for (const member of others) {
      await member.start()
      for (const kind of ['add-learner', 'add-voter'] as const) {
        await this.until(`${kind} ${member.peer.id}`, async () => {
          const leader = await this.leader()
          const outcome = await leader.change(kind, member.peer.id)
          // A change whose outcome was lost may have been committed: asked for again, it is refused.
          const { voters } = (await leader.state()).raft.members
          return outcome.kind === 'committed' || voters.includes(member.peer.id)
        })
      }
    }
  }

  get peers(): readonly RaftPeer[] {
    return this.members.map(({ peer }) => peer)
  }

  async credentials(nodeId: string): Promise<RaftCredentials> {
    const known = this.#credentials.get(nodeId) ?? (await managerCredentials(this.root, nodeId))
    this.#credentials.set(nodeId, known)
    return known
  }

  /** The member that leads and says so, once there is one. */
  async leader(): Promise<Member> {
    let found: Member | undefined
    await this.until('a leader', async () => {
      const up = this.members.filter((member) => member.isUp)
      const states = await Promise.all(
        up.map(async (member) => ({ member, state: await member.state().catch(() => undefined) })),
      )
      const leading = states.filter(({ state }) => state?.leadership.role === 'leader')
      leading.sort((a, b) => (b.state?.leadership.term ?? 0) - (a.state?.leadership.term ?? 0))
      found = leading[0]?.member
      return found !== undefined
    })
    return found as Member
  }

  async others(member: Member): Promise<readonly Member[]> {
    return this.members.filter((other) => other !== member)
  }

  /** Asks again and again until it holds. Throws after `withinMs`. */
  async until(what: string, holds: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
    const endMs = performance.now() + withinMs
    while (!(await holds())) {
      if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()))
    rmSync(this.directory, { recursive: true, force: true })
  }
}
