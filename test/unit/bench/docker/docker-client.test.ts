import t from 'tap'
import { SwarmError } from '../../../../proto/errors.ts'
import {
  type DockerNode,
  dockerClient,
  isWhole,
  parseNodes,
  runningNodeIds,
  runningOf,
  serviceBody,
} from '../../../bench/docker/docker-client.ts'

const rawNodes = [
  {
    ID: 'a',
    Description: { Hostname: 'm1' },
    Status: { State: 'ready', Addr: '10.213.0.11' },
    ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: '10.213.0.11:2377' },
  },
  { ID: 'b', Description: { Hostname: 'w1' }, Status: { State: 'down' } },
  { ID: 'c', Status: { State: 'unknown' } },
]

function aNode(over: Partial<DockerNode>): DockerNode {
  return { id: 'a', host: 'm1', state: 'ready', leader: false, reachability: undefined, ...over }
}

t.test('nodes are read with their role and state; one without a description too', (t) => {
  t.strictSame(parseNodes(rawNodes), [
    aNode({ leader: true, reachability: 'reachable' }),
    aNode({ id: 'b', host: 'w1', state: 'down' }),
    aNode({ id: 'c', host: '', state: 'unknown' }),
  ])
  t.throws(() => parseNodes({ message: 'This node is not a swarm manager.' }))
  t.end()
})

t.test('a swarm is whole when all nodes are ready and all managers reachable', (t) => {
  const manager = aNode({ reachability: 'reachable' })
  const worker = aNode({ host: 'w1' })
  t.ok(isWhole([manager, manager, worker], 2, 1))
  t.notOk(isWhole([manager, manager], 2, 1), 'a worker has not joined')
  t.notOk(isWhole([manager, aNode({ reachability: 'unreachable' }), worker], 2, 1))
  t.notOk(isWhole([manager, manager, aNode({ host: 'w1', state: 'down' })], 2, 1))
  t.end()
})

t.test('only tasks that run and shall run count, at their nodes', (t) => {
  const tasks = [
    { NodeID: 'a', DesiredState: 'running', Status: { State: 'running' } },
    { NodeID: 'b', DesiredState: 'running', Status: { State: 'starting' } },
    { NodeID: 'b', DesiredState: 'shutdown', Status: { State: 'running' } },
    { DesiredState: 'running', Status: { State: 'pending' } },
    { NodeID: 'a', DesiredState: 'running', Status: { State: 'running' } },
  ]
  t.strictSame(runningNodeIds(tasks), ['a', 'a'])
  t.end()
})

t.test('a service is found by its whole name, though Docker filters by its beginning', (t) => {
  const services = [
    { Spec: { Name: 'web-10' }, ServiceStatus: { RunningTasks: 7, DesiredTasks: 9 } },
    { Spec: { Name: 'web-1' }, ServiceStatus: { RunningTasks: 3, DesiredTasks: 9 } },
    { Spec: { Name: 'web-2' }, ServiceStatus: {} },
  ]
  t.equal(runningOf(services, 'web-1'), 3)
  t.equal(runningOf(services, 'web-2'), 0)
  t.equal(runningOf(services, 'web-3'), 0)
  t.end()
})

/** Answers to POST in their order; the last one for good. */
function answering(...answers: readonly (SwarmError | undefined)[]) {
  const sent: object[] = []
  return {
    sent,
    get: async () => rawNodes,
    post: async (_path: string, body: object) => {
      const answer = answers[Math.min(sent.push(body), answers.length) - 1]
      if (answer !== undefined) throw answer
      return {}
    },
    remove: async () => {},
  }
}

const leaderless = new SwarmError('UNAVAILABLE', 'the swarm does not have a leader')
const taken = new SwarmError('NAME_CONFLICT', 'name conflicts with an existing object')

t.test(
  'a write is repeated while there is no leader, and one that went through unheard is not',
  async (t) => {
    const api = answering(leaderless, taken)
    await dockerClient(api, new Map()).createService('web', 3)
    t.strictSame(api.sent, [serviceBody('web', 3), serviceBody('web', 3)])
  },
)

t.test('a name that dockerd itself got through is no error, a refusal is one', async (t) => {
  const refused = new SwarmError('INVALID_ARGUMENT', 'docker: 400')
  await dockerClient(answering(taken), new Map()).createService('web', 3)
  const api = answering(refused)
  await t.rejects(dockerClient(api, new Map()).createService('web', 3), refused)
  t.equal(api.sent.length, 1)
})

t.test('a write sent once is not repeated', async (t) => {
  const api = answering(leaderless)
  const write = dockerClient(api, new Map()).createService('web', 0, { once: true })
  await t.rejects(write, { code: 'UNAVAILABLE' })
  t.equal(api.sent.length, 1)
})

t.test('hosts that are down and the leader are named', async (t) => {
  const client = dockerClient(answering(), new Map())
  t.strictSame(await client.downHosts(), ['w1'])
  t.equal(await client.leader(), 'm1')
})

t.test('services are named and removed', async (t) => {
  const removed: string[] = []
  const api = {
    ...answering(),
    get: async () => [{ Spec: { Name: 'web' } }, { Spec: { Name: 'db' } }],
    remove: async (path: string) => {
      removed.push(path)
    },
  }
  const client = dockerClient(api, new Map())
  t.strictSame(await client.serviceNames(), ['web', 'db'])
  await client.removeService('web')
  t.strictSame(removed, ['/services/web'])
})

t.test('a manager leads when it says so of itself, and not when it finds no leader', async (t) => {
  const leads = (nodeId: string, nodes: () => Promise<unknown>): Promise<boolean> => {
    const info = { Swarm: { NodeID: nodeId } }
    const get = async (path: string): Promise<unknown> => (path === '/info' ? info : nodes())
    return dockerClient({ ...answering(), get }, new Map()).leads()
  }
  const own = parseNodes(rawNodes).find(({ leader }) => leader)?.id ?? ''
  t.equal(await leads(own, async () => rawNodes), true)
  t.equal(await leads('other', async () => rawNodes), false)
  t.equal(await leads(own, () => Promise.reject(leaderless)), false)
  const refused = new SwarmError('INVALID_ARGUMENT', 'docker: 400')
  await t.rejects(
    leads(own, () => Promise.reject(refused)),
    refused,
  )
})

t.test('the state of an update is that of the service, and none before the first', async (t) => {
  const client = (answer: object) =>
    dockerClient({ ...answering(undefined), get: async () => answer }, new Map())
  const updated = { UpdateStatus: { State: 'completed', Message: 'update completed' } }
  t.equal(await client(updated).updateState('web'), 'completed')
  t.equal(await client({ ID: 'a' }).updateState('web'), undefined)
})
