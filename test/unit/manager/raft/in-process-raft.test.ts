// Three members in one process on virtual time: the twin of the Raft thread for whole-cluster simulations.
import type { PeerMessage } from 'raft-ts'
import t from 'tap'
import { type InProcessRaft, startInProcessRaft } from '../../../../manager/raft/in-process-raft.ts'
import type {
  CommittedEntry,
  SnapshotPoint,
  StateMachine,
} from '../../../../manager/raft/raft-handle.ts'
import type { Clock } from '../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { settle, VirtualClock } from '../../../support/virtual-clock.ts'
import { VirtualRaftDisk } from '../../../support/virtual-raft-disk.ts'

class ListMachine implements StateMachine {
  items: string[] = []
  index = 0
  fault: Error | undefined

  apply(entries: readonly CommittedEntry[]): void | Promise<void> {
    if (this.fault !== undefined) throw this.fault
    for (const { index, data } of entries) {
      if (index !== this.index + 1) throw new Error(`entry ${index} after ${this.index}`)
      this.index = index
      if (data.length > 0) this.items.push(Buffer.from(data).toString())
    }
    return this.items.length % 2 === 0 ? undefined : Promise.resolve()
  }

  snapshot(): AsyncIterable<Uint8Array> {
    // Outside of a generator, whose body runs only when the first chunk is wanted, entries later.
    return chunksOf(this.items.map((item) => Buffer.from(`${item}\n`)))
  }

  async restore(at: SnapshotPoint, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const all: Uint8Array[] = []
    for await (const chunk of chunks) all.push(chunk)
    this.items = Buffer.concat(all).toString().split('\n').slice(0, -1)
    this.index = at.index
  }
}

async function* chunksOf(
  chunks: readonly Uint8Array[],
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks
}

class Cluster {
  readonly clock = new VirtualClock()
  readonly ids = ['a', 'b', 'c']
  readonly disks = new Map(this.ids.map((id) => [id, new VirtualRaftDisk(this.clock)]))
  readonly machines = new Map<string, ListMachine>()
  readonly running = new Map<string, InProcessRaft>()
  #lives = 0

  async start(id: string): Promise<InProcessRaft> {
    const machine = new ListMachine()
    this.machines.set(id, machine)
    this.#lives += 1
    const disk = this.disks.get(id)
    if (disk === undefined) throw new Error(id)
    const life = this.#lives
    // A dead member's timers do nothing.
    const clock: Clock = {
      wallMs: () => this.clock.wallMs(),
      monotonicMs: () => this.clock.monotonicMs(),
      setTimer: (delayMs, fn) =>
        this.clock.setTimer(delayMs, () => {
          if (this.running.get(id) === raft || raft === undefined) fn()
        }),
    }
    let raft: InProcessRaft | undefined
    const starting = startInProcessRaft({
      id,
      disk,
      group: 'test',
      clock,
      random: seededRandom(life),
      voters: this.ids,
      transport: { send: (_lane, message) => this.#send(message) },
      snapshotLogBytes: 20_000,
      stateMachine: machine,
      onLeadership: () => {},
    })
    starting.then((started) => {
      raft = started
      this.running.set(id, started)
    })
    await this.clock.until(() => this.running.has(id), 1_000, `${id} is open`)
    return await starting
  }

  crash(id: string): void {
    this.running.delete(id)
    this.disks.get(id)?.crash()
  }

  async leader(): Promise<InProcessRaft> {
    const found = (): InProcessRaft | undefined =>
      [...this.running.values()].find(({ handle }) => handle.leadership().role === 'leader')
    await this.clock.until(() => found() !== undefined, 10_000, 'a leader')
    return found() as InProcessRaft
  }

  /** Runs time until the promise is settled. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    promise.then(
      () => {
        isSettled = true
      },
      () => {
        isSettled = true
      },
    )
    await this.clock.until(() => isSettled, 20_000, 'the outcome')
    return await promise
  }

  #send(message: PeerMessage): boolean {
    const to = this.running.get(message.to)
    if (to === undefined) return false
    this.clock.setTimer(1, () => {
      if (this.running.get(message.to) === to) to.driver.receive(message)
    })
    return true
  }
}

t.test('a cluster in one process elects, commits, crashes and comes back', async (t) => {
  const cluster = new Cluster()
  for (const id of cluster.ids) await cluster.start(id)
  const { handle } = await cluster.leader()
  for (let i = 0; i < 300; i++) {
    const outcome = await cluster.wait(handle.propose(Buffer.from(`item ${i} ${'x'.repeat(200)}`)))
    t.equal(outcome.kind, 'committed')
  }
  t.match(await cluster.wait(handle.readIndex()), { kind: 'ready' })
  t.ok((await handle.status()).snapshotIndex > 0)
  const other = cluster.ids.find((id) => id !== handle.id) ?? ''
  t.same(await cluster.wait(handle.transferLeadership(other)), { kind: 'done', leader: other })
  cluster.crash(other)
  const next = await cluster.leader()
  await cluster.start(other)
  const machine = cluster.machines.get(other)
  await cluster.clock.until(() => machine?.items.length === 300, 10_000, 'it caught up')
  const { index } = await cluster.wait(next.handle.compact())
  t.equal(index, cluster.machines.get(next.handle.id)?.index)
  t.match(await cluster.wait(next.handle.changeMembers([{ kind: 'remove', id: other }])), {
    kind: 'committed',
  })
  await cluster.wait(next.handle.stop())
  await next.handle.closed
  t.same(await next.handle.propose(Buffer.from('late')), { kind: 'lost' })
})

t.test('a state machine that throws ends the handle', async (t) => {
  const cluster = new Cluster()
  for (const id of cluster.ids) await cluster.start(id)
  const { handle } = await cluster.leader()
  const machine = cluster.machines.get(handle.id)
  if (machine !== undefined) machine.fault = new Error('broken state')
  t.same(await cluster.wait(handle.propose(Buffer.from('x'))), { kind: 'lost' })
  await t.rejects(handle.closed, { code: 'INTERNAL', message: /broken state/ })
  await settle()
})
