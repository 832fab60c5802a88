// Agents and managers over real mutual TLS on loopback.
import t from 'tap'
import type { LogLine } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { TaskState } from '../../../../proto/objects/index.ts'
import { createFakeExecutor } from '../../../../worker/executor/fake/fake-executor.ts'
import { FakeHost } from '../../../../worker/executor/fake/fake-host.ts'
import { GrpcCluster } from '../../../support/grpc-cluster.ts'
import { aService, aTask } from '../../../support/objects.ts'
import { until } from '../../../support/until.ts'

const S = TaskState

t.test(
  'a task runs, its log is read from another manager, the session survives its manager',
  async (t) => {
    const cluster = await GrpcCluster.start(['m1', 'm2', 'm3'], ['w1'])
    t.teardown(() => cluster.stop())
    const host = new FakeHost({ clock: systemClock, localImages: { hello: {} } })
    const agent = await cluster.startAgent('w1', createFakeExecutor(host))
    const row = () => cluster.store.view((tx) => tx.get('nodes', 'w1'))
    const state = (id: string) => cluster.store.view((tx) => tx.get('tasks', id))?.state

    const readyMs = await until(() => row()?.state === 'ready', 'the node is ready')
    t.match(row(), { description: { hostname: 'w1' }, address: '127.0.0.1' })
    await cluster.store.update((tx) => {
      tx.create('services', aService({ name: 'web' }))
      tx.create('tasks', aTask({ id: 'a', node: 'w1', state: S.ASSIGNED }))
    })
    const runningMs = await until(() => state('a') === S.RUNNING, 'the task runs')
    t.comment(
      `ready after ${readyMs.toFixed(0)} ms, running ${runningMs.toFixed(0)} ms after assigned`,
    )

    host.write('a', 'stdout', 'hello')
    const caller = { kind: 'local-admin', nodeId: 'm1' as never } as const
    const request = {
      reference: 'web',
      follow: false,
      sinceMs: 0,
      stdout: true,
      stderr: true,
      details: false,
    }
    for (const manager of ['m1', 'm2', 'm3']) {
      const lines: LogLine[] = []
      const { signal } = new AbortController()
      for await (const line of cluster.serviceLogs(manager)(caller, request, signal)) {
        lines.push(line)
      }
      t.same(
        lines.map(({ taskName, text, err }) => `${taskName} ${Buffer.from(text)}${err}`),
        ['web.1 hello'],
        `over ${manager}`,
      )
    }

    const holder = row()?.sessionManagerId ?? ''
    const stateAtMs = row()?.stateAtMs
    if (holder === 'm1') await cluster.lead('m2')
    await cluster.kill(holder)
    const movedMs = await until(
      () => row()?.sessionManagerId !== holder && agent.status().manager !== undefined,
      'the session has moved',
    )
    t.comment(`session moved in ${movedMs.toFixed(0)} ms`)
    t.ok(movedMs < 2_000)
    t.match(row(), { state: 'ready', stateAtMs }, 'and the node never was down')
    await cluster.store.update((tx) => {
      const task = tx.get('tasks', 'a')
      if (task !== undefined) tx.update('tasks', { ...task, desiredState: S.SHUTDOWN })
    })
    await until(() => state('a') === S.SHUTDOWN, 'the task is stopped')
    await until(() => agent.status().unconfirmed === 0, 'the agent knows that all is known')
  },
)

t.test('a removed node is told why, and what it does goes on', async (t) => {
  const cluster = await GrpcCluster.start(['m1'], ['w1'])
  t.teardown(() => cluster.stop())
  const host = new FakeHost({ clock: systemClock, localImages: { hello: {} } })
  const agent = await cluster.startAgent('w1', createFakeExecutor(host))
  await until(() => agent.status().manager !== undefined, 'a session')
  await cluster.store.update((tx) => tx.remove('nodes', 'w1'))
  await until(() => agent.status().failure !== undefined, 'the session is cut')
  t.match(agent.status().failure, { code: 'PERMISSION_DENIED', message: /not part of the cluster/ })
})

t.test('a session is cut when its certificate expires', async (t) => {
  const cluster = await GrpcCluster.start(['m1'], ['w1'])
  t.teardown(() => cluster.stop())
  const host = new FakeHost({ clock: systemClock, localImages: { hello: {} } })
  const agent = await cluster.startAgent('w1', createFakeExecutor(host), { lifeMs: 2_000 })
  await until(() => agent.status().manager !== undefined, 'a session')
  await until(() => agent.status().failure !== undefined, 'the session is cut')
  t.match(agent.status().failure, { code: 'PERMISSION_DENIED', message: /certificate.*expired/ })
})

t.test('a renewed certificate makes a new session before the old one is cut', async (t) => {
  const cluster = await GrpcCluster.start(['m1'], ['w1'])
  t.teardown(() => cluster.stop())
  const host = new FakeHost({ clock: systemClock, localImages: { hello: {} } })
  const agent = await cluster.startAgent('w1', createFakeExecutor(host), { lifeMs: 3_000 })
  const expiresAtMs = systemClock.wallMs() + 3_000
  const row = () => cluster.store.view((tx) => tx.get('nodes', 'w1'))
  await until(() => row()?.state === 'ready', 'the node is ready')
  const { sessionId, stateAtMs } = row() ?? {}
  const seen: unknown[] = []
  const stop = new AbortController()
  const watching = (async () => {
    const commits = cluster.store.watch({ nodes: 'all' }, { signal: stop.signal, bufferMax: 100 })
    for await (const { changes } of commits) for (const { object } of changes) seen.push(object)
  })()

  await cluster.renew('w1')
  await until(() => row()?.sessionId !== sessionId, 'another session')
  t.ok(systemClock.wallMs() < expiresAtMs, 'before the first certificate expired')
  t.ok(agent.status().manager)
  await until(() => systemClock.wallMs() > expiresAtMs + 500, 'the first one has expired')
  t.match(row(), { state: 'ready', stateAtMs })
  t.equal(agent.status().failure, undefined, 'the new session was not cut')
  stop.abort()
  await watching
  t.equal(seen.length, 1, 'the node changed its session once, and was never anything but ready')
})
