import t, { type Test } from 'tap'
import type {
  AgentMessage,
  ManagerMessage,
  OverlayAck,
} from '../../../proto/gen/tsswarm/v1/dispatcher.ts'
import { silentLogger } from '../../../proto/lib/log.ts'
import { type MessageStream, streamPair } from '../../../proto/lib/message-stream.ts'
import { seededRandom } from '../../../proto/lib/random.ts'
import {
  type AssignmentUpdate,
  nodeId,
  type Stamp,
  TaskState,
  taskId,
} from '../../../proto/objects/index.ts'
import { runSessions, type UpdateOutcome } from '../../../worker/session.ts'
import type { ManagerAddress } from '../../../worker/state-records.ts'
import { StatusReporter } from '../../../worker/status-reporter.ts'
import { settle, VirtualClock } from '../../support/virtual-clock.ts'

type ManagerEnd = MessageStream<ManagerMessage, AgentMessage>

/** One attempt of the agent, from the manager's end. */
interface Attempt {
  readonly manager: ManagerAddress
  readonly atMs: number
  readonly end: ManagerEnd
  readonly got: AgentMessage[]
  /** The agent has ended it. */
  isOver: boolean
}

const managers = ['m1', 'm2', 'm3'].map((id) => ({ nodeId: id, address: `${id}:2377` }))

class Fixture {
  readonly clock = new VirtualClock()
  readonly reporter = new StatusReporter(this.clock)
  readonly attempts: Attempt[] = []
  readonly updates: AssignmentUpdate[] = []
  outcome: UpdateOutcome = 'applied'
  applied: Stamp | undefined
  hostname = 'w1'
  /** The node's certificate was renewed. */
  renewed: () => void = () => {}
  readonly failures: unknown[] = []
  overlay: OverlayAck | undefined
  readonly onRise = new Set<() => void>()
  readonly onDescription = new Set<() => void>()
  readonly sessions: (string | undefined)[] = []
  readonly #life = new AbortController()
  readonly #running: Promise<void>

  constructor(self = 'w1', known: readonly ManagerAddress[] = managers) {
    this.#running = runSessions(
      {
        transport: { open: (manager) => this.#open(manager) },
        clock: this.clock,
        random: seededRandom(3),
        log: silentLogger,
        nodeId: nodeId(self),
        reporter: this.reporter,
        advertiseAddress: () => '10.0.0.9',
        describe: () => ({
          hostname: this.hostname,
          platform: { os: 'linux', architecture: 'x86_64' },
          resources: { nanoCpus: 1e9, memoryBytes: 1e9 },
          engineVersion: '1',
          engineLabels: {},
          featureLevel: 1,
          dataPathAddress: '',
        }),
        onDescription: (listener) => {
          this.onDescription.add(listener)
          return () => this.onDescription.delete(listener)
        },
        managers: () => known,
        applied: () => this.applied,
        overlay: {
          current: () => this.overlay,
          onRise: (listener) => {
            this.onRise.add(listener)
            return () => this.onRise.delete(listener)
          },
        },
        onConfig: () => {},
        graceMs: () => 15_000,
        onRenewal: (listener) => {
          this.renewed = listener
          return () => {
            this.renewed = () => {}
          }
        },
        onSession: (manager) => this.sessions.push(manager?.address),
        onFailure: (err) => this.failures.push(err),
        onUpdate: async (update) => {
          this.updates.push(update)
          return this.outcome
        },
      },
      this.#life.signal,
    )
  }

  abort(): void {
    this.#life.abort()
  }

  get done(): Promise<void> {
    return this.#running
  }

  async stop(): Promise<void> {
    this.#life.abort()
    await this.clock.advance(1)
    for (const { end } of this.attempts) end.close()
    await this.#running
  }

  get last(): Attempt {
    const attempt = this.attempts.at(-1)
    if (attempt === undefined) throw new Error('the agent has not tried yet')
    return attempt
  }

  async started(heartbeatMs = 500, clusterEpoch = 1): Promise<Attempt> {
    await settle()
    const config = {
      heartbeatMs,
      managers: [],
      role: 0,
      rootCaCertPem: '',
      clusterEpoch,
      ingressNetworkId: '',
    } as const
    const value = { sessionId: 's1', managerNodeId: 'm1', config }
    await this.send({ kind: { $case: 'started', value } })
    return this.last
  }

  async send(message: ManagerMessage): Promise<void> {
    await this.last.end.send(message)
    await settle()
  }

  #open(manager: ManagerAddress): MessageStream<AgentMessage, ManagerMessage> {
    const { near, far } = streamPair<AgentMessage, ManagerMessage>()
    const got: AgentMessage[] = []
    const attempt = { manager, atMs: this.clock.monotonicMs(), end: far, got, isOver: false }
    this.attempts.push(attempt)
    const read = async (): Promise<void> => {
      for await (const message of far.incoming) got.push(message)
      attempt.isOver = true
    }
    read().catch(() => {})
    return near
  }
}

function aFixture(t: Test, ...args: ConstructorParameters<typeof Fixture>): Fixture {
  const fixture = new Fixture(...args)
  t.teardown(() => fixture.stop())
  return fixture
}

const cases = (attempt: Attempt): readonly (string | undefined)[] =>
  attempt.got.map(({ kind }) => kind?.$case)

t.test('a session opens with what the node is and what it knows', async (t) => {
  const fixture = aFixture(t)
  fixture.applied = { epoch: 1, index: 42 }
  await settle()
  // The first attempt was made before the stamp was known; the next one tells it.
  fixture.last.end.close()
  await fixture.clock.advance(100)
  t.match(fixture.last.got[0]?.kind, {
    $case: 'open',
    value: {
      applied: { epoch: 1, index: 42 },
      advertiseAddress: '10.0.0.9',
      protocol: 1,
      description: { hostname: 'w1' },
    },
  })
})

t.test('heartbeats follow the period the manager names', async (t) => {
  const fixture = aFixture(t)
  const { got } = await fixture.started(500)
  await fixture.clock.advance(2_000)
  t.equal(got.filter(({ kind }) => kind?.$case === 'heartbeat').length, 5)
  const value = {
    heartbeatMs: 2_000,
    managers: [],
    role: 0,
    rootCaCertPem: '',
    clusterEpoch: 1,
    ingressNetworkId: '',
  } as const
  await fixture.send({ kind: { $case: 'config', value } })
  const before = got.length
  await fixture.clock.advance(4_000)
  t.equal(got.length - before, 3, 'at once, and after each period')
})

t.test('a broken session is opened elsewhere within 100 ms', async (t) => {
  const fixture = aFixture(t)
  const first = await fixture.started()
  await fixture.clock.advance(60_000)
  first.end.close()
  const brokenMs = fixture.clock.monotonicMs()
  await fixture.clock.until(() => fixture.attempts.length === 2, 1_000, 'a second attempt')
  t.ok(fixture.last.atMs - brokenMs <= 100)
  t.not(fixture.last.manager.address, first.manager.address)
})

t.test('attempts that fail slow down to 2 s, over all managers', async (t) => {
  const fixture = aFixture(t)
  await settle()
  for (let i = 0; i < 12; i++) {
    fixture.last.end.close()
    const count = fixture.attempts.length
    await fixture.clock.until(() => fixture.attempts.length > count, 5_000, 'another attempt')
  }
  const gaps = fixture.attempts
    .slice(1)
    .map(({ atMs }, at) => atMs - (fixture.attempts[at]?.atMs ?? 0))
  t.ok((gaps[0] ?? 0) <= 100)
  t.ok(gaps.every((gap) => gap <= 2_000))
  t.ok((gaps.at(-1) ?? 0) >= 1_000)
  t.equal(new Set(fixture.attempts.slice(0, 3).map(({ manager }) => manager.address)).size, 3)
})

t.test('a manager that does not answer is given up after 2 s', async (t) => {
  const fixture = aFixture(t)
  await fixture.clock.until(() => fixture.attempts.length === 2, 5_000, 'a second attempt')
  t.ok(fixture.last.atMs >= 2_000 && fixture.last.atMs <= 2_100, `${fixture.last.atMs} ms`)
})

t.test('a manager that the cluster was recovered without is not listened to', async (t) => {
  const fixture = aFixture(t)
  fixture.applied = { epoch: 2, index: 9 }
  await fixture.started(500, 1)
  t.match(fixture.failures, [
    { code: 'FAILED_PRECONDITION', message: /old history .*epoch 1, this node knows 2/ },
  ])
  t.same(fixture.sessions, [], 'no session began')
  await fixture.clock.advance(100)
  t.equal(fixture.attempts.length, 2, 'another one is tried')
  await fixture.started(500, 2)
  t.equal(fixture.sessions.length, 1)
  const stale = {
    heartbeatMs: 500,
    managers: [],
    role: 0,
    rootCaCertPem: '',
    clusterEpoch: 1,
    ingressNetworkId: '',
  } as const
  await fixture.send({ kind: { $case: 'config', value: { ...stale, clusterEpoch: 0 } } })
  t.equal(fixture.failures.length, 1, 'one that does not say is believed')
  await fixture.send({ kind: { $case: 'config', value: stale } })
  t.equal(fixture.failures.length, 2)
})

t.test('a manager node prefers its own manager', async (t) => {
  const fixture = aFixture(t, 'm2')
  await settle()
  t.equal(fixture.last.manager.nodeId, 'm2')
  fixture.last.end.close()
  await fixture.clock.advance(200)
  t.not(fixture.last.manager.nodeId, 'm2', 'unless that just failed')
})

t.test('assignments that do not follow make the agent ask anew', async (t) => {
  const fixture = aFixture(t)
  await fixture.started()
  const stamp = { epoch: 1, index: 5 }
  await fixture.send({
    kind: { $case: 'set', value: { stamp, tasks: [], specs: [], payloadIds: [] } },
  })
  t.same(fixture.updates, [{ kind: 'set', stamp, tasks: [], specs: [], payloadIds: [] }])
  fixture.outcome = 'reopen'
  const value = {
    previous: { epoch: 1, index: 9 },
    stamp,
    update: [],
    remove: [],
    specs: [],
    payloadIds: [],
  }
  await fixture.send({ kind: { $case: 'changes', value } })
  await fixture.clock.advance(100)
  t.equal(fixture.attempts.length, 2)
})

t.test('statuses go up once the session has started, and again in the next one', async (t) => {
  const fixture = aFixture(t)
  fixture.reporter.set({
    taskId: taskId('a'),
    state: TaskState.RUNNING,
    atMs: 1,
    message: '',
    err: '',
    containerId: 'a',
    pid: 1,
    exitCode: undefined,
    hostPorts: [],
    connections: [],
    health: undefined,
  })
  await fixture.clock.advance(100)
  t.same(cases(fixture.last), ['open'])
  await fixture.started()
  await fixture.clock.advance(10)
  t.same(cases(fixture.last), ['open', 'heartbeat', 'statuses'])
  await fixture.send({ kind: { $case: 'ack', value: { sequence: 1 } } })
  t.equal(fixture.reporter.openCount, 0)
  fixture.last.end.close()
  await fixture.clock.advance(100)
  await fixture.started()
  await fixture.clock.advance(10)
  t.equal(cases(fixture.last).at(-1), 'statuses')
})

t.test(
  'how far the node followed the overlay is said at each rise, and to each manager',
  async (t) => {
    const fixture = aFixture(t)
    const overlay = (raftIndex: number) => ({
      epoch: 1,
      networks: [{ networkId: 'red', raftIndex }],
    })
    const said = (attempt: Attempt) =>
      attempt.got.flatMap(({ kind }) =>
        kind?.$case === 'overlay' ? [kind.value.networks[0]?.raftIndex] : [],
      )
    const first = await fixture.started()
    t.same(said(first), [], 'nothing to say yet')
    for (const index of [3, 5]) {
      fixture.overlay = overlay(index)
      for (const listener of fixture.onRise) listener()
    }
    await fixture.clock.advance(1)
    t.same(said(first), [3, 5])
    first.end.close()
    await fixture.clock.advance(200)
    const next = await fixture.started()
    await fixture.clock.advance(1)
    t.same(said(next), [5])
    t.equal(fixture.onRise.size, 1)
  },
)

t.test('a changed description is told within 20 s', async (t) => {
  const fixture = aFixture(t)
  const { got } = await fixture.started()
  await fixture.clock.advance(25_000)
  t.notOk(got.some(({ kind }) => kind?.$case === 'description'))
  fixture.hostname = 'renamed'
  await fixture.clock.advance(20_000)
  const told = got.find(({ kind }) => kind?.$case === 'description')
  t.match(told, { kind: { value: { hostname: 'renamed' } } })
})

t.test(
  'a change of the description that is announced is told at once, a second apart',
  async (t) => {
    const fixture = new Fixture()
    const { got } = await fixture.started()
    const told = (): readonly string[] =>
      got.flatMap(({ kind }) => (kind?.$case === 'description' ? [kind.value.hostname] : []))
    const change = async (hostname: string): Promise<void> => {
      fixture.hostname = hostname
      for (const listener of fixture.onDescription) listener()
      await settle()
    }
    await fixture.clock.advance(5_000)
    await change('w2')
    await fixture.clock.advance(1)
    t.strictSame(told(), ['w2'])
    await change('w3')
    await change('w4')
    await fixture.clock.advance(900)
    t.strictSame(told(), ['w2'], 'what comes and goes is told no more often')
    await fixture.clock.advance(100)
    t.strictSame(told(), ['w2', 'w4'])
    await change('w4')
    await fixture.clock.advance(30_000)
    t.strictSame(told(), ['w2', 'w4'], 'only what differs')
    await fixture.stop()
    t.equal(fixture.onDescription.size, 0)
  },
)

t.test(
  'an agent that is stopped says goodbye and waits until its manager has heard it',
  async (t) => {
    const fixture = aFixture(t)
    const { got, end } = await fixture.started()
    await fixture.clock.advance(1_000)
    fixture.abort()
    await fixture.clock.advance(100)
    t.match(got.at(-1)?.kind, { $case: 'goodbye', value: { graceMs: 15_000 } })
    end.close()
    await fixture.clock.advance(1)
    t.equal(fixture.attempts.length, 1, 'and does not try again')
  },
)

t.test('an agent that is stopped does not wait long for a manager that says nothing', async (t) => {
  const fixture = aFixture(t)
  await fixture.started()
  fixture.abort()
  let isDone = false
  fixture.done.then(() => {
    isDone = true
  })
  await fixture.clock.advance(1_000)
  t.equal(isDone, true)
})

t.test(
  'under a renewed certificate a new session begins before the old one is let go',
  async (t) => {
    const fixture = aFixture(t)
    const old = await fixture.started()
    await fixture.clock.advance(60_000)
    fixture.renewed()
    await fixture.clock.advance(1_000)
    const fresh = fixture.last
    t.equal(fixture.attempts.length, 2, 'at once')
    t.equal(fresh.manager.address, old.manager.address, 'at the same manager')
    t.notOk(old.isOver)
    const beats = cases(old).length
    await fixture.clock.advance(500)
    t.ok(cases(old).length > beats, 'the old one beats on until the new one has begun')

    await fixture.started()
    await fixture.clock.advance(1_000)
    t.ok(old.isOver)
    t.notOk(cases(old).includes('goodbye'), 'nobody takes it for leaving')
    t.equal(cases(fresh).at(-1), 'heartbeat')
    t.same(fixture.sessions, [old.manager.address, old.manager.address], 'there always was one')
    t.same(fixture.failures, [])
  },
)

t.test('what an old session still hears counts no more', async (t) => {
  const fixture = aFixture(t)
  const old = await fixture.started()
  fixture.renewed()
  await settle()
  const value = { sessionId: 's2', managerNodeId: 'm1', config: undefined }
  await fixture.last.end.send({ kind: { $case: 'started', value } })
  const stamp = { epoch: 1, index: 5 }
  await old.end
    .send({ kind: { $case: 'set', value: { stamp, tasks: [], specs: [], payloadIds: [] } } })
    .catch(() => {})
  await settle()
  t.same(fixture.updates, [])
})

t.test('while no successor can begin, the old session goes on, and others are asked', async (t) => {
  const fixture = aFixture(t)
  const old = await fixture.started()
  await fixture.clock.advance(60_000)
  fixture.renewed()
  await settle()
  fixture.last.end.close()
  await fixture.clock.until(() => fixture.attempts.length === 3, 3_000, 'another attempt')
  t.not(fixture.last.manager.address, old.manager.address)
  t.same(fixture.sessions, [old.manager.address])
  t.notOk(old.isOver)
  await fixture.started()
  await settle()
  t.ok(old.isOver)
})

t.test('an old session that its manager ends first is no failure', async (t) => {
  const fixture = aFixture(t)
  const old = await fixture.started()
  fixture.renewed()
  await settle()
  old.end.close(new Error('replaced by a newer session'))
  await fixture.started()
  await fixture.clock.advance(600)
  t.same(fixture.failures, [])
  t.equal(cases(fixture.last).at(-1), 'heartbeat')
})

t.test(
  'an agent that is stopped amid a renewal says goodbye in the session that counts',
  async (t) => {
    const fixture = aFixture(t)
    const old = await fixture.started()
    fixture.renewed()
    await settle()
    fixture.abort()
    await fixture.clock.advance(100)
    t.equal(cases(old).at(-1), 'goodbye')
    old.end.close()
    await fixture.clock.advance(1)
    await fixture.done
    t.equal(fixture.attempts.length, 2)
  },
)
