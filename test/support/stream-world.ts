// A cluster of real TLS connections in this process, with streams into containers that are programs of this host.
import type { Test } from 'tap'
import { openStream } from '../../manager/streams/open-stream.ts'
import type { ExecOpen, StreamFrame, StreamOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { streamPair } from '../../proto/lib/message-stream.ts'
import { nodeId, TaskState } from '../../proto/objects/index.ts'
import { createFakeExecutor } from '../../worker/executor/fake/fake-executor.ts'
import { FakeHost } from '../../worker/executor/fake/fake-host.ts'
import { GrpcCluster } from './grpc-cluster.ts'
import { LocalContainers } from './local-containers.ts'
import { aService, aTask } from './objects.ts'
import { untilSeen } from './until.ts'

type FrameKind = NonNullable<StreamFrame['kind']>

export interface StreamWorld {
  readonly cluster: GrpcCluster
  readonly containers: LocalContainers
  /** What was noted, in order. */
  readonly notes: unknown[]
  open(what: StreamOpen['what'], more?: Partial<WorldWish>): ClientEnd
}

interface WorldWish {
  readonly manager: string
  readonly reference: string
  readonly note: () => Promise<void>
  /** Takes what comes down; default: at once. */
  readonly take: (kind: FrameKind) => Promise<void>
}

export class ClientEnd {
  readonly got: FrameKind[] = []
  readonly life = new AbortController()
  readonly done: Promise<void>
  readonly send: (kind: FrameKind) => Promise<void>

  constructor(
    handler: ReturnType<typeof openStream>,
    open: StreamOpen,
    take: (kind: FrameKind) => Promise<void> = async () => {},
  ) {
    const { near, far } = streamPair<StreamFrame, StreamFrame>()
    const caller = { kind: 'local-admin', nodeId: nodeId('m1') } as const
    this.send = (kind) => near.send({ kind })
    void this.send({ $case: 'open', value: open })
    this.done = handler(
      caller,
      far.incoming,
      async ({ kind }) => {
        if (kind === undefined) return
        this.got.push(kind)
        await take(kind)
      },
      this.life.signal,
    )
    this.done.catch(() => {})
  }

  all<C extends FrameKind['$case']>($case: C) {
    return this.got.flatMap((kind) => (kind.$case === $case ? [kind.value] : [])) as Extract<
      FrameKind,
      { $case: C }
    >['value'][]
  }

  text($case: 'data' | 'errorData' = 'data'): string {
    return Buffer.concat(this.all($case)).toString()
  }
}

export const exec = (argv: readonly string[], more: Partial<ExecOpen> = {}) =>
  ({
    $case: 'exec',
    value: {
      ...{ argv, env: [], workdir: '', user: '', size: undefined },
      ...{ tty: false, interactive: false, detach: false },
      ...more,
    },
  }) as const
export const sh = (script: string, more: Partial<ExecOpen> = {}) =>
  exec(['/bin/sh', '-c', script], more)

export async function aStreamWorld(t: Test): Promise<StreamWorld> {
  const cluster = await GrpcCluster.start(['m1', 'm2'], ['w1'])
  t.teardown(() => cluster.stop())
  const containers = new LocalContainers('task1')
  // Its session is with the first manager.
  const executor = createFakeExecutor(
    new FakeHost({ clock: systemClock, localImages: { hello: {} } }),
  )
  await cluster.startAgent('w1', executor, { containers })
  await cluster.store.update((tx) => {
    tx.create('services', aService({ id: 's1', name: 'web' }))
    const facts = { service: 's1', node: 'w1', slot: 1 }
    tx.create('services', aService({ id: 's2', name: 'other' }))
    tx.create('tasks', aTask({ ...facts, id: 'task1', state: TaskState.ASSIGNED }))
    // Runs, but its container is not to be found.
    const lost = { ...facts, service: 's2', id: 'task3', state: TaskState.ASSIGNED }
    tx.create('tasks', aTask(lost))
    tx.create('tasks', aTask({ ...facts, id: 'task2', slot: 2, state: TaskState.FAILED }))
  })
  const manager = (): string | undefined =>
    cluster.store.view((tx) => tx.get('nodes', 'w1')?.sessionManagerId)
  const m = await untilSeen('w1 has a session', async () => manager())
  await untilSeen('its tasks run', async () => {
    const states = cluster.store.view((tx) =>
      ['task1', 'task3'].map((id) => tx.get('tasks', id)?.state),
    )
    return states.every((state) => state === TaskState.RUNNING) ? true : undefined
  })
  const notes: unknown[] = []
  return {
    cluster,
    containers,
    notes,
    open: (what, { manager: name = m, reference = 'web', note, take } = {}) => {
      const handler = openStream({
        store: cluster.store,
        cluster: { selfNodeId: () => nodeId(name), readBarrier: async () => {} },
        openNode: cluster.nodeStreams(name),
        note: note ?? (async (_, request) => void notes.push(request)),
        clock: systemClock,
      })
      const ids = { requestId: 'r1', user: 'alice', taskId: '', nodeId: '' }
      return new ClientEnd(handler, { ...ids, reference, what }, take)
    },
  }
}
