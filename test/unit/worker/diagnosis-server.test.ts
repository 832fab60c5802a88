import t from 'tap'
import type {
  AgentDiagnosisMessage,
  DiagnosisAnswer,
  DiagnosisRequest,
} from '../../../proto/gen/tsswarm/v1/diagnosis.ts'
import { silentLogger } from '../../../proto/lib/log.ts'
import { type MessageStream, streamPair } from '../../../proto/lib/message-stream.ts'
import { seededRandom } from '../../../proto/lib/random.ts'
import { type NodeDiagnosis, serveDiagnosis } from '../../../worker/diagnosis-server.ts'
import { aLeg, anAudit } from '../../support/diagnosis.ts'
import { settle, VirtualClock } from '../../support/virtual-clock.ts'

const node: NodeDiagnosis = {
  audit: async ({ networkId }) => anAudit({ told: [{ id: networkId, digest: 'd' }] }),
  leg: async () => aLeg([], { balancedBy: '10.0.1.2' }),
  lookup: async ({ name }) => ({ addresses: [name], failure: '' }),
  volume: async () => ({ volumes: [], reclaimedBytes: 7, error: '', errorCode: '' }),
}

interface Manager {
  readonly clock: VirtualClock
  readonly got: AgentDiagnosisMessage[]
  readonly ask: (id: string, kind: DiagnosisRequest['kind']) => Promise<void>
  /** How often the agent connected. */
  opened: number
  /** The stream breaks. */
  readonly cut: () => void
  readonly stop: () => void
}

function aManager(diagnosis: NodeDiagnosis): Manager {
  const clock = new VirtualClock()
  const life = new AbortController()
  const got: AgentDiagnosisMessage[] = []
  let far: MessageStream<DiagnosisRequest, AgentDiagnosisMessage> | undefined
  const openDiagnosis = () => {
    const pair = streamPair<AgentDiagnosisMessage, DiagnosisRequest>()
    far = pair.far
    manager.opened += 1
    const read = async (): Promise<void> => {
      for await (const message of pair.far.incoming) got.push(message)
    }
    read().catch(() => {})
    return pair.near
  }
  const manager: Manager = {
    clock,
    got,
    opened: 0,
    ask: async (id, kind) => await far?.send({ id, kind }),
    cut: () => far?.close(new Error('cut')),
    stop: () => life.abort(),
  }
  const deps = { clock, random: seededRandom(1), log: silentLogger }
  const address = { nodeId: 'm1', address: 'm1' }
  void serveDiagnosis({ ...deps, transport: { openDiagnosis }, diagnosis }, address, life.signal)
  return manager
}

function answers({ got }: Manager): ReadonlyMap<string, DiagnosisAnswer> {
  const all = got.flatMap(({ kind }) => (kind?.$case === 'answer' ? [kind.value] : []))
  return new Map(all.map((answer) => [answer.id, answer]))
}

t.test('each question is answered under its own id', async (t) => {
  const manager = aManager(node)
  t.teardown(manager.stop)
  await settle()
  t.match(manager.got, [{ kind: { $case: 'ready' } }])
  await manager.ask('1', { $case: 'audit', value: { networkId: 'net' } })
  const leg = { from: undefined, source: '', destination: '', protocol: 'tcp', port: 0 }
  await manager.ask('2', { $case: 'leg', value: leg })
  await manager.ask('3', { $case: 'name', value: { taskId: 't', name: 'web' } })
  await manager.ask('4', undefined)
  const list = { kind: { $case: 'list', value: {} } } as const
  await manager.ask('5', { $case: 'volume', value: list })
  await settle()
  const all = answers(manager)
  t.match(all.get('1'), { err: '', kind: { $case: 'audit', value: { told: [{ id: 'net' }] } } })
  t.match(all.get('2'), { err: '', kind: { $case: 'leg', value: { balancedBy: '10.0.1.2' } } })
  t.match(all.get('3'), { err: '', kind: { $case: 'name', value: { addresses: ['web'] } } })
  t.match(all.get('5'), { err: '', kind: { $case: 'volume', value: { reclaimedBytes: 7 } } })
  t.match(all.get('4'), { err: /does not know what it was asked/ })
})

t.test('what fails is answered with why', async (t) => {
  const failing = { ...node, audit: () => Promise.reject(new Error('the kernel is silent')) }
  const manager = aManager(failing)
  t.teardown(manager.stop)
  await settle()
  await manager.ask('1', { $case: 'audit', value: { networkId: '' } })
  await settle()
  t.match(answers(manager).get('1'), { err: 'the kernel is silent', kind: undefined })
})

t.test('a few are looked at at once, some wait, more are refused', async (t) => {
  let running = 0
  let most = 0
  const open: (() => void)[] = []
  const slow: NodeDiagnosis = {
    ...node,
    audit: async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise<void>((resolve) => open.push(resolve))
      running -= 1
      return anAudit()
    },
  }
  const manager = aManager(slow)
  t.teardown(manager.stop)
  await settle()
  for (let i = 0; i < 70; i++)
    await manager.ask(`${i}`, { $case: 'audit', value: { networkId: '' } })
  await settle()
  t.equal(most, 4)
  const refused = [...answers(manager).values()]
  t.equal(refused.length, 2, '4 run, 64 wait')
  t.ok(refused.every(({ err }) => /asked too much/.test(err)))
  for (let i = 0; i < 68; i++) {
    open.shift()?.()
    await settle()
  }
  t.equal(answers(manager).size, 70)
  t.equal(most, 4)
})

t.test('a stream that breaks is opened again', async (t) => {
  const manager = aManager(node)
  await settle()
  manager.cut()
  await manager.clock.advance(10_000)
  t.equal(manager.opened, 2)
  manager.stop()
  manager.cut()
  await manager.clock.advance(10_000)
  t.equal(manager.opened, 2, 'not after the end')
})
