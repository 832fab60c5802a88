// Streams into containers as they travel: real TLS connections between a client's manager, the manager of the node, and the
// node's agent; programs of this host at the far end.
import t from 'tap'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { accessOf, noteAccess } from '../../../../manager/streams/access-record.ts'
import { taskUsages } from '../../../../manager/streams/task-usages.ts'
import { accessToProto } from '../../../../proto/codec/access.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import type { StreamOpen } from '../../../../proto/gen/tsswarm/v1/streams.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import { nodeId, TaskState, taskId } from '../../../../proto/objects/index.ts'
import { GrpcCluster } from '../../../support/grpc-cluster.ts'
import { aCluster, aTask } from '../../../support/objects.ts'
import { aStreamWorld, exec, sh } from '../../../support/stream-world.ts'
import { untilSeen } from '../../../support/until.ts'

t.setTimeout(60_000)

t.test('a stream to a node of this manager, and of another one', async (t) => {
  const world = await aStreamWorld(t)
  for (const manager of ['m1', 'm2']) {
    await t.test(`through ${manager}: outputs apart, exit code, what was asked`, async (t) => {
      const client = world.open(sh('echo out; echo err >&2; exit 9', { env: ['A=1'] }), { manager })
      await client.done
      t.match(client.all('opened'), [{ taskId: 'task1', taskName: 'web.1.task1' }])
      t.same([client.text(), client.text('errorData')], ['out\n', 'err\n'])
      t.match(client.all('ended'), [{ exitCode: 9, err: '' }])
      t.match(world.containers.asked.at(-1), { env: ['A=1'] })
    })

    await t.test(`through ${manager}: half-close, size, signals`, async (t) => {
      const client = world.open(sh('cat; echo end', { interactive: true }), { manager })
      await client.send({ $case: 'resize', value: { rows: 3, columns: 4 } })
      await client.send({ $case: 'data', value: Buffer.from('hello ') })
      await client.send({ $case: 'dataEnd', value: true })
      await client.done
      t.equal(client.text(), 'hello end\n')
      t.match(world.containers.sizes.at(-1), { rows: 3, columns: 4 })
      const trap = world.open(sh('trap "exit 4" TERM; echo on; while :; do sleep 0.05; done'), {
        manager,
      })
      await untilSeen('it runs', async () => (trap.text() === 'on\n' ? true : undefined))
      await trap.send({ $case: 'signal', value: 'SIGTERM' })
      await trap.done
      t.match(trap.all('ended'), [{ exitCode: 4 }])
    })

    await t.test(`through ${manager}: 8 MiB each way, whole`, async (t) => {
      const client = world.open(exec(['/bin/cat'], { interactive: true }), { manager })
      const chunk = Buffer.alloc(64 * 1024, 'x')
      for (let i = 0; i < 128; i += 1) await client.send({ $case: 'data', value: chunk })
      await client.send({ $case: 'dataEnd', value: true })
      await client.done
      t.equal(client.text().length, 128 * chunk.length)
    })

    await t.test(`through ${manager}: the program ends when the client goes`, async (t) => {
      const client = world.open(sh('echo on; exec sleep 600', { interactive: true }), { manager })
      await untilSeen('it runs', async () => (client.text() === 'on\n' ? true : undefined))
      // It reads nothing: what is typed fills every buffer on the way, and the end must get past it.
      let sent = 0
      let seen = -1
      const fill = async (): Promise<void> => {
        const value = Buffer.alloc(64 * 1024)
        for (; sent < 4_096; sent += 1) await client.send({ $case: 'data', value })
      }
      fill().catch(() => {})
      await untilSeen('no more goes in', async () => {
        const isStill = sent > 0 && sent === seen
        seen = sent
        return isStill ? true : undefined
      })
      t.ok(sent < 4_096, 'what nobody reads is not swallowed')
      client.life.abort()
      await t.rejects(client.done, { code: 'CANCELLED' })
      await untilSeen('it has ended', async () =>
        world.containers.running === 0 ? true : undefined,
      )
    })

    await t.test(`through ${manager}: errors of the node are the client's`, async (t) => {
      const client = world.open(sh('true'), { manager, reference: 'other' })
      await client.done
      t.match(client.all('ended'), [{ err: 'No such container: task3', code: 'NOT_FOUND' }])
    })
  }

  await t.test('processes of a container', async (t) => {
    const client = world.open({ $case: 'top', value: {} }, { reference: 'web.1' })
    await client.done
    t.match(client.all('top'), [{ processes: [{ pid: 7, command: 'sleep 1' }] }])
  })

  await t.test('what cannot be opened is refused with a reason', async (t) => {
    const refused = async (reference: string, what: StreamOpen['what'] = sh('true')) => {
      const client = world.open(what, { reference })
      return await client.done.catch((err: unknown) => err)
    }
    t.match(await refused('nowhere'), { code: 'NOT_FOUND', message: /no such task or service/ })
    t.match(await refused('wbe.1'), { code: 'NOT_FOUND', message: /\(did you mean web\.1\?\)/ })
    const failed = {
      code: 'FAILED_PRECONDITION',
      message: /web\.2\.task2 does not run: it is failed/,
    }
    t.match(await refused('web.2'), failed)
    const nothing = world.open(undefined)
    await t.rejects(nothing.done, { code: 'INVALID_ARGUMENT' })
    const usage = { $case: 'usage', value: { taskIds: [], intervalMs: 0, once: true } } as const
    t.match(await refused('web', usage), { code: 'INVALID_ARGUMENT' })
  })

  await t.test('nothing is done that could not be noted', async (t) => {
    const before = world.containers.asked.length
    const client = world.open(sh('true'), {
      note: async () => {
        throw new SwarmError('NO_LEADER', 'no leader')
      },
    })
    await t.rejects(client.done, { code: 'NO_LEADER' })
    t.equal(world.containers.asked.length, before)
    t.match(world.notes[0], {
      requestId: 'r1',
      access: { clientUser: 'alice', taskId: 'task1' },
    })
  })

  await t.test('usage: of each task once, and again and again', async (t) => {
    const read = (references: readonly string[], once: boolean, life = new AbortController()) =>
      taskUsages({
        store: world.cluster.store,
        cluster: { readBarrier: async () => {} },
        openNode: world.cluster.nodeStreams('m2'),
        clock: systemClock,
      })(
        { kind: 'local-admin', nodeId: nodeId('m2') },
        { references, intervalMs: 250, once },
        life.signal,
      )
    const once: unknown[] = []
    for await (const { tasks } of read(['web'], true)) once.push(...tasks)
    t.match(once, [{ taskId: 'task1', taskName: 'web.1.task1', pids: 5, err: '' }])
    const life = new AbortController()
    let samples = 0
    for await (const { tasks } of read(['web.1'], false, life)) {
      t.ok((tasks[0]?.cpuPermille ?? 0) > 0, 'a share between two samples')
      samples += 1
      if (samples === 2) life.abort()
    }
    t.equal(samples, 2)
    await t.rejects(read(['nowhere'], true).next(), { code: 'NOT_FOUND' })
  })

  await t.test('usage: a node that is away is named, the stream says why', async (t) => {
    await world.cluster.store.update((tx) => {
      tx.create('nodes', { ...nodeOf(tx.get('nodes', 'm2')), id: nodeId('w9') })
      const facts = { service: 's1', node: 'w9', slot: 9, state: TaskState.RUNNING }
      tx.create('tasks', aTask({ ...facts, id: 'task9' }))
    })
    const got: unknown[] = []
    const usages = taskUsages({
      store: world.cluster.store,
      cluster: { readBarrier: async () => {} },
      openNode: world.cluster.nodeStreams('m1'),
      clock: systemClock,
    })
    const caller = { kind: 'local-admin', nodeId: nodeId('m1') } as const
    const request = { references: ['web'], intervalMs: 0, once: true }
    for await (const { tasks } of usages(caller, request, new AbortController().signal)) {
      got.push(...tasks)
    }
    t.match(
      got.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b))),
      [
        { taskId: 'task1', err: '' },
        { taskId: 'task9', err: /is not available/ },
      ],
    )
    const client = world.open(sh('true'), { reference: 'task9' })
    await t.rejects(client.done, { code: 'UNAVAILABLE', message: /is not available/ })
  })
})

function nodeOf<T>(node: T | undefined): T {
  if (node === undefined) throw new Error('no such node')
  return node
}

t.test('who did what is noted without values of the environment', async (t) => {
  const open = { requestId: '', reference: '', user: '', taskId: '', nodeId: '' }
  const what = exec(['psql', '-c', 'x'.repeat(400)], { env: ['PASSWORD=secret', 'B'], user: 'app' })
  const access = accessOf({ ...open, what })
  t.match(access, { action: 'exec_start', attributes: { env: 'PASSWORD,B', user: 'app' } })
  t.notMatch(JSON.stringify(access), /secret/)
  t.equal(access?.attributes['command']?.length, 257)
  t.equal(accessOf({ ...open, what: { $case: 'top', value: {} } }), undefined)
  t.match(accessOf({ ...open, what: { $case: 'forward', value: { port: 80 } } }), {
    action: 'port_forward',
    attributes: { port: '80' },
  })
})

t.test('accesses are kept under a bound, by the caller and not by its word', async (t) => {
  const cluster = await GrpcCluster.start(['m1'], [])
  t.teardown(() => cluster.stop())
  const caller = { kind: 'node', nodeId: nodeId('m1'), role: 'manager' } as const
  const note = (id: string) =>
    noteAccess(cluster.store, caller, {
      requestId: id,
      access: {
        ...{ id, action: 'attach', taskId: 'task1', clientNodeId: 'forged' },
        ...{ clientUser: 'root', attributes: {} },
      },
    })
  await note('a0')
  await note('a0')
  t.equal(
    cluster.store.view((tx) => tx.count('accesses')),
    1,
    'a repeat changes nothing',
  )
  t.match(
    cluster.store.view((tx) => tx.get('accesses', 'a0')),
    { clientNodeId: 'm1' },
  )
  for (let i = 1; i <= 1_000; i += 1) await note(`a${i}`)
  t.equal(
    cluster.store.view((tx) => tx.count('accesses')),
    1_000,
  )
  t.equal(
    cluster.store.view((tx) => tx.get('accesses', 'a0')),
    undefined,
    'the oldest went',
  )
  await t.rejects(
    noteAccess(cluster.store, { kind: 'anonymous' }, { requestId: 'x', access: undefined }),
    {
      code: 'PERMISSION_DENIED',
    },
  )
  await t.rejects(noteAccess(cluster.store, caller, { requestId: 'x', access: undefined }), {
    code: 'INVALID_ARGUMENT',
  })
  const old = createMemoryStore({ clock: systemClock, random: systemRandom })
  await old.update((tx) => tx.create('cluster', { ...aCluster({}), featureLevel: 3 }))
  const access = accessToProto({
    ...{ id: 'a', action: 'attach', taskId: taskId('t'), clientNodeId: nodeId('') },
    ...{ clientUser: '', attributes: {} },
  })
  await t.rejects(noteAccess(old, caller, { requestId: 'a', access }), {
    code: 'FAILED_PRECONDITION',
    message: /feature level 3/,
  })
})
