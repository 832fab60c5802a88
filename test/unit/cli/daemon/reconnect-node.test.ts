// `swarm reconnect` on a manager and on a worker.
import t from 'tap'
import type { ManagerPart } from '../../../../cli/daemon/manager-part.ts'
import { reconnectNode } from '../../../../cli/daemon/reconnect-node.ts'
import type { Reconnected } from '../../../../manager/membership/reconnect.ts'
import { reasonOf } from '../../../../manager/membership/reconnect.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import type { ReconnectSwarmProgress } from '../../../../proto/gen/tsswarm/v1/daemon.ts'
import type { Agent, AgentStatus } from '../../../../worker/agent.ts'
import type { ManagerAddress } from '../../../../worker/state-records.ts'
import { freeAddress } from '../../../support/free-ports.ts'
import { GrpcCluster } from '../../../support/grpc-cluster.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const { signal } = new AbortController()
const identity = {
  current: () => ({ certPem: '', keyPem: '', caPem: '' }),
  onChange: () => () => {},
}

async function listOf<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

function aManager(steps: readonly Reconnected[], leader: string | undefined) {
  const asked: (readonly string[])[] = []
  const manager: Pick<ManagerPart, 'reconnect' | 'isConnected'> = {
    reconnect: async function* (addresses) {
      asked.push(addresses)
      yield* steps
    },
    isConnected: () => leader,
  }
  return { asked, manager: manager as ManagerPart }
}

t.test('a manager asks each address once, with its port, and names the leader', async (t) => {
  const error = new SwarmError('UNAVAILABLE', 'no answer')
  const { asked, manager } = aManager(
    [
      { kind: 'found', address: 'a:2377', nodeId: 'n2' },
      { kind: 'failed', address: 'b:4000', error },
    ],
    'a:2377',
  )
  const clock = new VirtualClock()
  const deps = { manager, agent: undefined, identity, clock }
  const steps = await listOf(reconnectNode(deps, ['a', 'a:2377', 'b:4000'], signal))
  t.same(asked, [['a:2377', 'b:4000']])
  t.match(steps, [
    { address: 'a:2377', nodeId: 'n2', error: '' },
    { address: 'b:4000', error: 'no answer' },
    { address: '', found: 'a:2377', error: '' },
  ])
})

t.test('without a leader it says so after 20 s', async (t) => {
  const { manager } = aManager([], undefined)
  const clock = new VirtualClock()
  const deps = { manager, agent: undefined, identity, clock }
  let steps: readonly ReconnectSwarmProgress[] | undefined
  const done = listOf(reconnectNode(deps, ['a'], signal)).then((all) => {
    steps = all
  })
  await clock.advance(19_000)
  t.equal(steps, undefined)
  await clock.advance(1_500)
  await done
  t.match(steps, [{ found: '', error: /no leader yet.*more than half/ }])
})

t.test('what is no address is refused', async (t) => {
  const { manager } = aManager([], 'a')
  const deps = { manager, agent: undefined, identity, clock: new VirtualClock() }
  for (const given of [[], [':2377'], ['a b'], Array.from({ length: 65 }, (_, at) => `h${at}`)]) {
    await t.rejects(listOf(reconnectNode(deps, given, signal)), { code: 'INVALID_ARGUMENT' })
  }
})

t.test('a worker hands what are managers of its swarm to its agent', async (t) => {
  const cluster = await GrpcCluster.start(['m1'], ['w1'])
  t.teardown(() => cluster.stop())
  const { address } = cluster.memberOf('m1')
  const nobody = await freeAddress()
  const learned: (readonly ManagerAddress[])[] = []
  const status: Partial<AgentStatus> = { manager: { nodeId: 'm1', address } }
  const agent: Pick<Agent, 'learnManagers' | 'status'> = {
    learnManagers: (managers) => learned.push(managers),
    status: () => status as AgentStatus,
  }
  const deps = {
    manager: undefined,
    agent: agent as Agent,
    identity: cluster.identityOf('m1'),
    clock: new VirtualClock(),
  }
  const steps = await listOf(reconnectNode(deps, [address, nobody], signal))
  t.match(steps, [
    { address, nodeId: 'm1', error: '' },
    { address: nobody, nodeId: '', error: /no answer/ },
    { found: address },
  ])
  t.match(learned, [[{ nodeId: 'm1', address }]])
})

t.test('reasons are told in words that help', async (t) => {
  t.match(reasonOf(new Error('self-signed certificate in chain')), {
    message: /no manager of this swarm/,
  })
  t.match(reasonOf(new SwarmError('DEADLINE_EXCEEDED', 'late')), { message: /no answer/ })
  const own = new SwarmError('PERMISSION_DENIED', 'node x was removed')
  t.equal(reasonOf(own), own)
  t.match(reasonOf('odd'), { code: 'INTERNAL', message: 'odd' })
})
