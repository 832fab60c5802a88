// One member in a real worker thread: what the handle promises, and how it ends.
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createRootCa, type RootCa } from '../../../../manager/ca/root-ca.ts'
import type {
  CommittedEntry,
  Leadership,
  RaftHandle,
  SnapshotPoint,
  StateMachine,
} from '../../../../manager/raft/raft-handle.ts'
import { type RaftThreadOptions, startRaftThread } from '../../../../manager/raft/raft-thread.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { freeAddress } from '../../../support/free-ports.ts'
import { managerCredentials } from '../../../support/raft-members.ts'
import { until } from '../../../support/until.ts'

class ListMachine implements StateMachine {
  items: string[] = []
  index = 0
  restores = 0
  calls = 0
  /** What apply waits for. */
  gate: Promise<void> | undefined
  fault: Error | undefined

  apply(entries: readonly CommittedEntry[]): void | Promise<void> {
    if (this.fault !== undefined) throw this.fault
    this.calls += 1
    if (this.gate === undefined) return this.#take(entries)
    return this.gate.then(() => this.#take(entries))
  }

  snapshot(): AsyncIterable<Uint8Array> {
    // Outside of a generator, whose body runs only when the first chunk is wanted, entries later.
    return chunksOf([Buffer.from(JSON.stringify(this.items))])
  }

  async restore(at: SnapshotPoint, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const all: Uint8Array[] = []
    for await (const chunk of chunks) all.push(chunk)
    this.items = JSON.parse(Buffer.concat(all).toString())
    this.index = at.index
    this.restores += 1
  }

  #take(entries: readonly CommittedEntry[]): void {
    for (const { index, data } of entries) {
      if (index !== this.index + 1) throw new Error(`entry ${index} after ${this.index}`)
      this.index = index
      if (data.length > 0) this.items.push(Buffer.from(data).toString())
    }
  }
}

async function* chunksOf(
  chunks: readonly Uint8Array[],
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks
}

t.setTimeout(120_000)

interface Thread {
  readonly raft: RaftHandle
  readonly machine: ListMachine
  readonly announced: Leadership[]
}

let root: RootCa

t.before(async () => {
  root = await createRootCa(Date.now())
})

async function aDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tsswarm-raft-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

async function aThread(
  t: Test,
  directory: string,
  options: Partial<RaftThreadOptions> = {},
): Promise<Thread> {
  const machine = new ListMachine()
  const announced: Leadership[] = []
  const raft = await startRaftThread({
    id: 'raft-a',
    directory: join(directory, 'raft'),
    keyFile: join(directory, 'key'),
    group: 'test',
    listenAddress: await freeAddress(),
    credentials: await managerCredentials(root, 'node-a'),
    peers: [],
    beginning: { kind: 'new' },
    stateMachine: machine,
    onLeadership: (leadership) => announced.push(leadership),
    log: silentLogger,
    ...options,
  })
  t.teardown(() => raft.stop().catch(() => {}))
  return { raft, machine, announced }
}

const leading = async (thread: Thread): Promise<Thread> => {
  await until(() => thread.raft.leadership().role === 'leader', 'it leads')
  return thread
}

const propose = (raft: RaftHandle, text: string) => raft.propose(Buffer.from(text))

t.test('a founder leads, commits, reads, and comes back with everything', async (t) => {
  const directory = await aDirectory(t)
  const { raft, machine, announced } = await leading(await aThread(t, directory))
  // Its first term or, when the disk is slow to take its vote, a later one.
  const { term } = raft.leadership()
  t.ok(term >= 2)
  t.same(announced.at(-1), { role: 'leader', leader: 'raft-a', term })
  const outcome = await propose(raft, 'x')
  t.match(outcome, { kind: 'committed', term })
  t.same(machine.items, ['x'], 'applied before the outcome')
  t.match(await raft.readIndex(), { kind: 'ready' })
  t.match(await raft.status(), {
    id: 'raft-a',
    members: { voters: ['raft-a'], outgoing: [], learners: [] },
    lastIndex: machine.index,
    peers: [],
  })
  t.match(await raft.transferLeadership(), { kind: 'failed' })
  t.match(await raft.changeMembers([{ kind: 'remove', id: 'raft-a' }]), { kind: 'refused' })
  await raft.stop()
  await raft.closed
  t.same(await propose(raft, 'y'), { kind: 'lost' })
  t.same(await raft.readIndex(), { kind: 'no-leader' })
  await t.rejects(raft.status(), { code: 'UNAVAILABLE' })
  const again = await leading(await aThread(t, directory))
  t.same(again.machine.items, ['x'])
})

t.test('what lies on disk is sealed, and the key is for root only', async (t) => {
  const directory = await aDirectory(t)
  const { raft } = await leading(await aThread(t, directory))
  await propose(raft, 'a secret that must not be seen')
  await raft.compact()
  await raft.stop()
  for (const name of readdirSync(join(directory, 'raft'))) {
    const content = readFileSync(join(directory, 'raft', name))
    t.notOk(content.includes('a secret that must'), name)
    t.equal(statSync(join(directory, 'raft', name)).mode & 0o777, 0o600, name)
  }
  t.equal(statSync(join(directory, 'key')).mode & 0o777, 0o600)
  t.equal(statSync(join(directory, 'raft')).mode & 0o777, 0o700)
})

t.test('proposals are committed in the order of the calls', async (t) => {
  const { raft, machine } = await leading(await aThread(t, await aDirectory(t)))
  const texts = Array.from({ length: 2000 }, (_, i) => `item ${i}`)
  const outcomes = await Promise.all(texts.map((text) => propose(raft, text)))
  t.ok(outcomes.every(({ kind }) => kind === 'committed'))
  t.same(machine.items, texts)
})

t.test('outcomes wait for a state machine that takes its time', async (t) => {
  const { raft, machine } = await leading(await aThread(t, await aDirectory(t)))
  let open: () => void = () => {}
  machine.gate = new Promise((resolve) => {
    open = resolve
  })
  let isAnswered = false
  const outcome = propose(raft, 'slow').then((result) => {
    isAnswered = true
    return result
  })
  const status = raft.status()
  const before = machine.calls
  await until(() => machine.calls > before, 'apply is called')
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  t.notOk(isAnswered)
  t.same(machine.items, [])
  open()
  t.match(await outcome, { kind: 'committed' })
  t.same(machine.items, ['slow'])
  await status
})

t.test('too much at once is answered busy, not queued without end', async (t) => {
  const { raft } = await leading(await aThread(t, await aDirectory(t)))
  const big = new Uint8Array(4 * 1024 * 1024)
  const outcomes = await Promise.all(Array.from({ length: 40 }, () => raft.propose(big)))
  t.ok(outcomes.some(({ kind }) => kind === 'busy'))
  t.ok(outcomes.some(({ kind }) => kind === 'committed'))
  t.match(await propose(raft, 'after'), { kind: 'committed' })
})

t.test('a snapshot is made, and the next start begins with it', async (t) => {
  const directory = await aDirectory(t)
  const { raft, machine } = await leading(await aThread(t, directory))
  t.same(await raft.compact(), { index: machine.index, term: raft.leadership().term })
  for (let i = 0; i < 50; i++) await propose(raft, `item ${i}`)
  const { index } = await raft.compact()
  t.equal(index, machine.index)
  await propose(raft, 'after')
  await raft.stop()
  const again = await leading(await aThread(t, directory))
  t.equal(again.machine.restores, 1)
  t.equal(again.machine.items.length, 51)
  t.equal((await again.raft.status()).snapshotIndex, index)
})

t.test('a state machine that throws ends the handle', async (t) => {
  const { raft, machine } = await leading(await aThread(t, await aDirectory(t)))
  machine.fault = new Error('the state is broken')
  t.same(await propose(raft, 'x'), { kind: 'lost' })
  await t.rejects(raft.closed, { code: 'INTERNAL', message: /the state is broken/ })
})

t.test('an entry of a feature level that is too high ends the handle, saying so', async (t) => {
  const { raft, machine } = await leading(await aThread(t, await aDirectory(t)))
  machine.fault = new SwarmError('UNSUPPORTED', 'the cluster is at feature level 9: upgrade')
  t.same(await propose(raft, 'x'), { kind: 'lost' })
  await t.rejects(raft.closed, {
    code: 'UNSUPPORTED',
    message: 'the cluster is at feature level 9: upgrade',
  })
})

t.test('a snapshot that fails while being made ends the handle', async (t) => {
  const { raft, machine } = await leading(await aThread(t, await aDirectory(t)))
  await propose(raft, 'x')
  machine.snapshot = async function* () {
    yield Buffer.from('part of it')
    throw new Error('cannot encode')
  }
  const compacting = raft.compact()
  await t.rejects(raft.closed, { code: 'INTERNAL', message: /cannot encode/ })
  await t.rejects(compacting)
})

t.test(
  'a damaged log is refused with DATA_LOSS, and repaired only if there are others',
  async (t) => {
    const directory = await aDirectory(t)
    const { raft } = await leading(await aThread(t, directory))
    for (let i = 0; i < 20; i++) await propose(raft, `item ${i}`)
    await raft.stop()
    const name = readdirSync(join(directory, 'raft')).find((file) => file.startsWith('log-')) ?? ''
    const path = join(directory, 'raft', name)
    const content = readFileSync(path)
    content[600] = (content[600] ?? 0) ^ 4
    writeFileSync(path, content)
    await t.rejects(aThread(t, directory), { code: 'DATA_LOSS', message: /remove it and join it/ })
    const self = { id: 'raft-a', nodeId: 'node-a', address: await freeAddress() }
    await t.rejects(aThread(t, directory, { peers: [self] }), { code: 'DATA_LOSS' })
    const other = { id: 'raft-b', nodeId: 'node-b', address: await freeAddress() }
    const repaired = await aThread(t, directory, { peers: [self, other] })
    t.equal((await repaired.raft.status()).leadership.role, 'follower', 'it does not lead alone')
  },
)

t.test('both keys are exchanged under load, and only the new one opens the log', async (t) => {
  const directory = await aDirectory(t)
  const key = join(directory, 'key')
  const { raft, machine } = await leading(await aThread(t, directory))
  const old = readFileSync(key, 'utf8')
  let isRotating = true
  let written = 0
  let slowestMs = 0
  const write = async (writer: number): Promise<void> => {
    while (isRotating) {
      const startMs = performance.now()
      const { kind } = await propose(raft, `writer ${writer} ${written}`)
      if (kind !== 'committed') throw new Error(kind)
      written += 1
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
    }
  }
  const writers = Array.from({ length: 8 }, (_, i) => write(i))
  const during: number[] = []
  for (let i = 0; i < 10; i++) {
    const since = written
    await Promise.all([raft.rotateKeys(), raft.rotateKeys()])
    await raft.compact()
    during.push(written - since)
  }
  isRotating = false
  await Promise.all(writers)
  t.comment(
    `${written} writes meanwhile, ${during} a turn, the slowest ${Math.round(slowestMs)} ms`,
  )
  t.ok(during.every((count) => count > 0))
  await raft.stop()
  await t.rejects(raft.rotateKeys(), { code: 'UNAVAILABLE' })
  const fresh = readFileSync(key, 'utf8')
  t.not(fresh, old)
  t.notOk(readdirSync(directory).some((name) => name.startsWith('key.')))
  writeFileSync(key, old)
  await t.rejects(aThread(t, directory), { code: 'FAILED_PRECONDITION', message: /key/ })
  writeFileSync(key, fresh)
  const again = await leading(await aThread(t, directory))
  t.equal(again.machine.items.length, machine.items.length)
  t.equal(again.machine.items.length, written)
})

t.test('a foreign directory and a lost key are refused', async (t) => {
  const directory = await aDirectory(t)
  await (await leading(await aThread(t, directory))).raft.stop()
  await t.rejects(aThread(t, directory, { group: 'other' }), { code: 'FAILED_PRECONDITION' })
  rmSync(join(directory, 'key'))
  await t.rejects(aThread(t, directory), { code: 'FAILED_PRECONDITION', message: /key/ })
})

t.test('an address in use and an unusable directory are refused', async (t) => {
  const directory = await aDirectory(t)
  const listenAddress = await freeAddress()
  await aThread(t, directory, { listenAddress })
  await t.rejects(aThread(t, await aDirectory(t), { listenAddress }), { code: 'ADDRESS_IN_USE' })
  const file = join(await aDirectory(t), 'file')
  writeFileSync(file, '')
  await t.rejects(aThread(t, file), { code: 'INTERNAL' })
})

t.test('one survivor is made a cluster of its own', async (t) => {
  const directory = await aDirectory(t)
  const first = await leading(await aThread(t, directory))
  await propose(first.raft, 'x')
  const outcome = first.raft.changeMembers([{ kind: 'add-voter', id: 'raft-b' }])
  await until(() => first.raft.leadership().role !== 'leader', 'nothing can be committed any more')
  t.match(await outcome, { kind: 'lost' })
  await first.raft.stop()
  const survivor = await leading(await aThread(t, directory, { beginning: { kind: 'force-new' } }))
  t.same((await survivor.raft.status()).members.voters, ['raft-a'])
  t.same(survivor.machine.items, ['x'])
  t.match(await propose(survivor.raft, 'y'), { kind: 'committed' })
})

t.test('a full disk ends the handle with RESOURCE_EXHAUSTED and loses nothing', async (t) => {
  const directory = await aDirectory(t)
  const small = join(directory, 'small')
  mkdirSync(small)
  const { execFileSync } = await import('node:child_process')
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small])
  t.teardown(() => execFileSync('umount', ['-l', small]))
  const { raft, machine } = await leading(await aThread(t, small))
  let committed = 0
  for (let i = 0; i < 100; i++) {
    const { kind } = await raft.propose(new Uint8Array(100_000).fill(i))
    if (kind !== 'committed') break
    committed += 1
  }
  t.ok(committed > 5 && committed < 25, `${committed} were committed`)
  await t.rejects(raft.closed, { code: 'RESOURCE_EXHAUSTED', message: /free space/ })
  t.equal(machine.items.length, committed)
  await t.rejects(aThread(t, small), { code: 'RESOURCE_EXHAUSTED' })
  execFileSync('mount', ['-o', 'remount,size=64m', small])
  const again = await leading(await aThread(t, small))
  t.equal(again.machine.items.length, committed)
  t.match(await propose(again.raft, 'after'), { kind: 'committed' })
})
