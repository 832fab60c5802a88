import t, { type Test } from 'tap'
import { hasCode } from '../../../../proto/errors.ts'
import type { LogLine, ServiceLogsRequest } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { TaskState } from '../../../../proto/objects/index.ts'
import { MiniCluster } from '../../../support/mini-cluster.ts'
import { MiniNode } from '../../../support/mini-node.ts'
import { aService, aSpecRecord } from '../../../support/objects.ts'

const S = TaskState
const managers = ['m1', 'm2']

interface World {
  readonly cluster: MiniCluster
  readonly nodes: readonly [MiniNode, MiniNode]
}

/** Two managers, two workers, a service `web` with task a on w1 and b on w2. */
async function aWorld(t: Test): Promise<World> {
  const cluster = new MiniCluster()
  await cluster.start(...managers, 'w1', 'w2')
  for (const name of managers) cluster.addManager(name)
  await cluster.lead('m1')
  await cluster.clock.advance(300)
  // Each worker knows one manager only, so that one of them is remote for any reader.
  const nodes = [new MiniNode(cluster, 'w1', ['m1']), new MiniNode(cluster, 'w2', ['m2'])] as const
  for (const node of nodes) await node.start()
  t.teardown(async () => {
    for (const node of nodes) await node.kill()
    await cluster.stop()
  })
  await cluster.store.update((tx) => tx.create('services', aService({ name: 'web' })))
  const options = { labels: 'tier,none', env: '' }
  const detailed = { labels: { tier: 'front' }, logDriver: { name: 'json-file', options } }
  await cluster.store.update((tx) => tx.create('taskSpecs', aSpecRecord('detailed', detailed)))
  await cluster.addTask({ id: 'a', slot: 1, node: 'w1', specHash: 'detailed', state: S.ASSIGNED })
  await cluster.addTask({ id: 'b', slot: 2, node: 'w2', state: S.ASSIGNED })
  const runs = (id: string): boolean => cluster.task(id).state === S.RUNNING
  await cluster.clock.until(() => runs('a') && runs('b'), 5_000, 'both tasks run')
  return { cluster, nodes }
}

class Reader {
  readonly lines: LogLine[] = []
  readonly #life = new AbortController()
  isDone = false
  err: unknown
  /** Resolved each time the reader may take another line; undefined: it takes all. */
  gate: (() => Promise<void>) | undefined
  readonly #cluster: MiniCluster

  constructor(t: Test, cluster: MiniCluster, request: Partial<ServiceLogsRequest>, on = 'm1') {
    this.#cluster = cluster
    const both = { stdout: true, stderr: true, details: false }
    const whole = { reference: 'web', follow: false, sinceMs: 0, ...both }
    const caller = { kind: 'local-admin', nodeId: 'm1' as never } as const
    const read = async (): Promise<void> => {
      const lines = cluster.serviceLogs(on)(caller, { ...whole, ...request }, this.#life.signal)
      for await (const line of lines) {
        this.lines.push(line)
        await this.gate?.()
      }
    }
    read().then(
      () => {
        this.isDone = true
      },
      (err: unknown) => {
        this.isDone = true
        this.err = err
      },
    )
    t.teardown(() => this.stop())
  }

  async stop(): Promise<void> {
    this.#life.abort()
    await this.#cluster.clock.advance(10)
  }

  told(): readonly string[] {
    return this.lines.map(({ taskName, text, err }) =>
      err === '' ? `${taskName} ${Buffer.from(text).toString()}` : `${taskName}! ${err}`,
    )
  }

  done(limitMs = 60_000): Promise<void> {
    return this.#cluster.clock.until(() => this.isDone, limitMs, 'the reader is done')
  }
}

t.test('lines of all nodes come in order of time, with their names', async (t) => {
  const { cluster, nodes } = await aWorld(t)
  for (let i = 0; i < 3; i++) {
    nodes[0].host.write('a', 'stdout', `a${i}`)
    await cluster.clock.advance(5)
    nodes[1].host.write('b', 'stderr', `b${i}`)
    await cluster.clock.advance(5)
  }
  for (const manager of managers) {
    const reader = new Reader(t, cluster, {}, manager)
    await reader.done()
    t.same(reader.told(), ['web.1 a0', 'web.2 b0', 'web.1 a1', 'web.2 b1', 'web.1 a2', 'web.2 b2'])
    t.match(reader.lines[1], { taskId: 'b', nodeId: 'w2', nodeHostname: 'host-w2', stderr: true })
  }
  const errors = new Reader(t, cluster, { stdout: false })
  await errors.done()
  t.same(errors.told(), ['web.2 b0', 'web.2 b1', 'web.2 b2'])
})

t.test('details are told to who asks for them, from any manager', async (t) => {
  const { cluster, nodes } = await aWorld(t)
  nodes[0].host.write('a', 'stdout', 'a0')
  await cluster.clock.advance(5)
  nodes[1].host.write('b', 'stdout', 'b0')
  for (const manager of managers) {
    const plain = new Reader(t, cluster, {}, manager)
    await plain.done()
    t.match(plain.lines, [{ attributes: {}, serviceId: 'service-1' }, {}])
    t.same(plain.lines[0]?.attributes, {})
    const reader = new Reader(t, cluster, { details: true }, manager)
    await reader.done()
    const told = reader.lines.map(({ attributes }) => attributes)
    t.same(told, [{ tier: 'front' }, {}])
  }
})

t.test(
  'what a task still says after its service was removed has the name of the service',
  async (t) => {
    const { cluster, nodes } = await aWorld(t)
    const reader = new Reader(t, cluster, { follow: true })
    nodes[0].host.write('a', 'stdout', 'before')
    await cluster.clock.until(() => reader.lines.length === 1, 5_000, 'it follows')
    await cluster.store.update((tx) => tx.remove('services', 'service-1'))
    nodes[0].host.write('a', 'stdout', 'after')
    nodes[1].host.write('b', 'stdout', 'first')
    await cluster.clock.until(() => reader.lines.length === 3, 5_000, 'it follows on')
    t.same([...reader.told()].sort(), ['web.1 after', 'web.1 before', 'web.2 first'])
  },
)

t.test('tail and since choose, for each task', async (t) => {
  const { cluster, nodes } = await aWorld(t)
  let middleMs = 0
  for (let i = 0; i < 10; i++) {
    if (i === 7) middleMs = cluster.clock.wallMs()
    nodes[0].host.write('a', 'stdout', `a${i}`)
    nodes[1].host.write('b', 'stdout', `b${i}`)
    await cluster.clock.advance(10)
  }
  const tail = new Reader(t, cluster, { tail: 1 })
  await tail.done()
  t.same(tail.told(), ['web.1 a9', 'web.2 b9'])
  const since = new Reader(t, cluster, { sinceMs: middleMs, reference: 'web.2' })
  await since.done()
  t.same(since.told(), ['web.2 b7', 'web.2 b8', 'web.2 b9'])
})

t.test('follow goes on with what is written, new tasks included, until it is cut', async (t) => {
  const { cluster, nodes } = await aWorld(t)
  nodes[0].host.write('a', 'stdout', 'old')
  await cluster.clock.advance(10)
  const reader = new Reader(t, cluster, { follow: true, tail: 0 }, 'm2')
  await cluster.clock.advance(100)
  t.same(reader.told(), [])
  nodes[0].host.write('a', 'stdout', 'new')
  await cluster.clock.advance(50)
  await cluster.addTask({ id: 'c', slot: 3, node: 'w1', state: S.ASSIGNED })
  await cluster.clock.until(() => cluster.task('c').state === S.RUNNING, 5_000, 'c runs')
  nodes[0].host.write('c', 'stdout', 'first')
  await cluster.clock.until(() => reader.lines.length === 2, 1_000, 'the line of the new task')
  t.same(reader.told(), ['web.1 new', 'web.3 first'])
  await reader.stop()
  t.equal(reader.isDone, true)
  t.equal(reader.err, undefined)
})

t.test('what cannot be read is told at the end, the rest is read', async (t) => {
  const { cluster, nodes } = await aWorld(t)
  nodes[0].host.write('a', 'stdout', 'here')
  await nodes[1].kill()
  await cluster.clock.advance(5_000)
  const reader = new Reader(t, cluster, {})
  await reader.done()
  t.same(reader.told(), ['web.1 here', 'web.2! node host-w2 is not available (down)'])
})

t.test(
  'a followed log is taken up again when its node is back, without a line twice',
  async (t) => {
    const { cluster, nodes } = await aWorld(t)
    const reader = new Reader(t, cluster, { follow: true, reference: 'web.2' })
    nodes[1].host.write('b', 'stdout', 'one')
    await cluster.clock.advance(100)
    await nodes[1].kill()
    nodes[1].host.write('b', 'stdout', 'two')
    await cluster.clock.advance(100)
    t.equal(reader.told()[0], 'web.2 one')
    t.match(reader.told()[1], /^web\.2! /, 'the loss is told at once')
    await nodes[1].start()
    await cluster.clock.advance(3_000)
    nodes[1].host.write('b', 'stdout', 'three')
    await cluster.clock.advance(100)
    t.same(
      reader.told().filter((line) => !line.includes('!')),
      ['web.2 one', 'web.2 two', 'web.2 three'],
    )
  },
)

t.test('following one task ends with its container', async (t) => {
  const { cluster, nodes } = await aWorld(t)
  const reader = new Reader(t, cluster, { follow: true, reference: 'a' })
  nodes[0].host.write('a', 'stdout', 'bye')
  await cluster.clock.advance(20)
  nodes[0].host.exit('a', 0)
  await reader.done()
  t.same(reader.told(), ['web.1 bye'])
})

t.test('a reader that stands still makes nobody read far ahead', async (t) => {
  const { cluster, nodes } = await aWorld(t)
  for (let i = 0; i < 5_000; i++) nodes[1].host.write('b', 'stdout', `line ${i}`)
  const reader = new Reader(t, cluster, { reference: 'web.2' })
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  reader.gate = () => opened
  await cluster.clock.advance(60_000)
  t.equal(reader.lines.length, 1)
  open()
  reader.gate = undefined
  await reader.done()
  t.equal(reader.lines.length, 5_000)
  t.equal(reader.told().at(-1), 'web.2 line 4999')
  t.ok(reader.lines.every((line) => line.err === ''))
})

t.test('an unknown name is refused with what to do', async (t) => {
  const { cluster } = await aWorld(t)
  const reader = new Reader(t, cluster, { reference: 'nowhere' })
  await reader.done()
  t.ok(hasCode(reader.err, 'NOT_FOUND'))
  t.match(reader.err, { message: /no such task or service: nowhere: see/ })
  for (const [reference, near] of [
    ['wbe', 'web'],
    ['wep.1', 'web.1'],
  ] as const) {
    const mistyped = new Reader(t, cluster, { reference })
    await mistyped.done()
    t.match(mistyped.err, {
      message: `no such task or service: ${reference} (did you mean ${near}?)`,
    })
  }
})
