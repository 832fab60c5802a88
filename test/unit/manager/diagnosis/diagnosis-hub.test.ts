import t from 'tap'
import { DiagnosisHub } from '../../../../manager/diagnosis/diagnosis-hub.ts'
import { nodeAsker } from '../../../../manager/diagnosis/node-asker.ts'
import type {
  AgentDiagnosisMessage,
  DiagnosisRequest,
} from '../../../../proto/gen/tsswarm/v1/diagnosis.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { streamPair } from '../../../../proto/lib/message-stream.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId } from '../../../../proto/objects/index.ts'
import { createFakeExecutor } from '../../../../worker/executor/fake/fake-executor.ts'
import { FakeHost } from '../../../../worker/executor/fake/fake-host.ts'
import { aLeg, anAudit } from '../../../support/diagnosis.ts'
import { GrpcCluster } from '../../../support/grpc-cluster.ts'
import { aNode } from '../../../support/objects.ts'
import { until } from '../../../support/until.ts'
import { settle, VirtualClock } from '../../../support/virtual-clock.ts'

const question = { $case: 'audit', value: { networkId: '' } } as const
const w1 = nodeId('w1')
const never = new AbortController().signal

function aHub() {
  const clock = new VirtualClock()
  const hub = new DiagnosisHub({ clock, random: seededRandom(1) })
  const connect = (id = 'w1') => {
    const { near, far } = streamPair<AgentDiagnosisMessage, DiagnosisRequest>()
    const caller = { kind: 'node', nodeId: nodeId(id), role: 'worker' } as const
    const life = new AbortController()
    const asked: DiagnosisRequest[] = []
    const read = async (): Promise<void> => {
      for await (const request of near.incoming) asked.push(request)
    }
    read().catch(() => {})
    const done = hub.handleDiagnose(caller, far.incoming, (one) => far.send(one), life.signal)
    done.catch(() => {})
    const answer = (at: number, err = ''): void => {
      const value = {
        id: asked[at]?.id ?? '',
        err,
        kind: { $case: 'audit', value: anAudit() } as const,
      }
      near.send({ kind: { $case: 'answer', value } }).catch(() => {})
    }
    return { near, asked, answer, done, life }
  }
  return { clock, hub, connect }
}

t.test('a question is answered, refused by the node, late, or cut off', async (t) => {
  const { clock, hub, connect } = aHub()
  await t.rejects(hub.ask(w1, question, 1_000, never), { code: 'UNAVAILABLE' }, 'no stream')
  const agent = connect()
  await settle()
  const good = hub.ask(w1, question, 1_000, never)
  await settle()
  agent.answer(0)
  t.match(await good, { $case: 'audit' })

  const bad = hub.ask(w1, question, 1_000, never)
  await settle()
  agent.answer(1, 'the kernel is silent')
  await t.rejects(bad, { code: 'UNAVAILABLE', message: 'the kernel is silent' })

  const late = hub.ask(w1, question, 1_000, never)
  late.catch(() => {})
  await clock.advance(1_001)
  await t.rejects(late, { code: 'DEADLINE_EXCEEDED', message: /1 s/ })
  agent.answer(2)
  await settle()

  const leaving = new AbortController()
  const left = hub.ask(w1, question, 1_000, leaving.signal)
  leaving.abort()
  await t.rejects(left, { code: 'CANCELLED' })

  const lost = hub.ask(w1, question, 1_000, never)
  lost.catch(() => {})
  await settle()
  agent.near.close()
  await t.rejects(lost, { code: 'UNAVAILABLE', message: /was lost/ })
})

t.test('a newer stream takes the place of an older one, and questions are bounded', async (t) => {
  const { hub, connect } = aHub()
  const old = connect()
  await settle()
  const young = connect()
  await t.rejects(old.done, { code: 'ALREADY_EXISTS' })
  await settle()
  const asked = Array.from({ length: 64 }, () => hub.ask(w1, question, 1_000, never))
  for (const one of asked) one.catch(() => {})
  await t.rejects(hub.ask(w1, question, 1_000, never), { code: 'RESOURCE_EXHAUSTED' })
  await settle()
  t.equal(young.asked.length, 64)
  t.equal(old.asked.length, 0)
  young.near.close()
  await Promise.allSettled(asked)
})

t.test('strangers and workers are refused', async (t) => {
  const { hub } = aHub()
  const admin = { kind: 'local-admin', nodeId: w1 } as const
  const { far } = streamPair<AgentDiagnosisMessage, DiagnosisRequest>()
  const served = hub.handleDiagnose(admin, far.incoming, (one) => far.send(one), never)
  await t.rejects(served, { code: 'PERMISSION_DENIED' })
  const worker = { kind: 'node', nodeId: w1, role: 'worker' } as const
  const manager = { kind: 'node', nodeId: w1, role: 'manager' } as const
  const relay = { nodeId: 'w1', request: { id: '', kind: question }, waitMs: 1 }
  await t.rejects(hub.handleRelay(worker, relay, never), { code: 'PERMISSION_DENIED' })
  const empty = { ...relay, request: undefined }
  await t.rejects(hub.handleRelay(manager, empty, never), { code: 'INVALID_ARGUMENT' })
  await t.rejects(hub.handleRelay(manager, relay, never), { code: 'UNAVAILABLE' })
})

t.test('a node without a session, and an empty answer of another manager', async (t) => {
  const { hub } = aHub()
  const relay = async () => ({ id: '', err: '', kind: undefined })
  const ask = nodeAsker({ selfNodeId: () => nodeId('m1'), hub, relay })
  const down = { ...aNode({ id: 'w1' }), state: 'down' as const, stateMessage: 'no heartbeat' }
  await t.rejects(ask(down, question, never), { message: 'it is down: no heartbeat' })
  const elsewhere = { ...down, sessionManagerId: nodeId('m2') }
  await t.rejects(ask(elsewhere, question, never), { code: 'UNAVAILABLE', message: /empty/ })
})

t.test(
  'every manager reaches a node, over mutual TLS, and again after its manager is gone',
  async (t) => {
    const cluster = await GrpcCluster.start(['m1', 'm2', 'm3'], ['w1'])
    t.teardown(() => cluster.stop())
    const host = new FakeHost({ clock: systemClock, localImages: {} })
    let isBroken = false
    const diagnosis = {
      audit: async () => {
        if (isBroken) throw new Error('nft is missing')
        return anAudit({ leftOut: 7 })
      },
      leg: async () => aLeg([]),
      lookup: async () => ({ addresses: [], failure: 'ENOTFOUND' }),
      volume: async () => ({ volumes: [], reclaimedBytes: 0, error: '', errorCode: '' }),
    }
    await cluster.startAgent('w1', createFakeExecutor(host), { diagnosis })
    const row = () => cluster.store.view((tx) => tx.get('nodes', 'w1'))
    const askedOf = async (manager: string): Promise<number> => {
      const node = row()
      if (node === undefined) return 0
      const answer = await cluster
        .asker(manager)(node, question, never)
        .catch(() => undefined)
      return answer?.$case === 'audit' ? answer.value.leftOut : 0
    }
    let leftOut = 0
    const ask = (manager: string) => (): boolean => {
      askedOf(manager).then(
        (found) => {
          leftOut = found
        },
        () => {},
      )
      return leftOut === 7
    }
    for (const manager of ['m1', 'm2', 'm3']) {
      leftOut = 0
      await until(ask(manager), `${manager} asks the node`)
    }
    const holder = row()?.sessionManagerId ?? ''
    isBroken = true
    const node = row()
    const other = ['m1', 'm2', 'm3'].find((one) => one !== holder) ?? ''
    if (node !== undefined) {
      await t.rejects(cluster.asker(other)(node, question, never), { message: /nft is missing/ })
    }
    isBroken = false
    if (holder === 'm1') await cluster.lead('m2')
    await cluster.kill(holder)
    await until(() => row()?.sessionManagerId !== holder, 'the session has moved')
    leftOut = 0
    await until(ask(other), 'it is asked over its new manager')
  },
)
