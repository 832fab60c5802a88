// What a node does when its manager ends by itself.
import t from 'tap'
import type { ManagerPart } from '../../../../cli/daemon/manager-part.ts'
import { type NodeDeps, NodeRuntime } from '../../../../cli/daemon/node-runtime.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { until } from '../../../support/until.ts'

interface Started {
  readonly manager: ManagerPart
  readonly end: (err: unknown) => void
  stops: number
}

/** A manager that ends when the test says so. Its stop fails, as that of one that has ended does. */
function aManager(): Started {
  let end: (err: unknown) => void = () => {}
  const closed = new Promise<void>((_, reject) => {
    end = reject
  })
  const started: Started = {
    stops: 0,
    end: (err) => end(err),
    manager: {
      control: {},
      closed,
      stop: async () => {
        started.stops += 1
        throw new SwarmError('DATA_LOSS', 'it had ended before')
      },
    } as unknown as ManagerPart,
  }
  return started
}

interface World {
  readonly node: NodeRuntime
  readonly managers: Started[]
  readonly failures: unknown[]
}

function aNode(peers: number): World {
  const first = aManager()
  const managers = [first]
  const failures: unknown[] = []
  const deps = {
    live: { current: () => ({ stateDir: '/nowhere', runDir: '/nowhere' }) },
    identity: { certificate: () => ({ role: 'manager', nodeId: 'n', clusterId: 'c' }) },
    log: silentLogger,
    startManager: async () => {
      const next = aManager()
      managers.push(next)
      return next.manager
    },
    onFailure: (err: unknown) => failures.push(err),
  } as unknown as NodeDeps
  const state = {
    listenAddress: '0.0.0.0:2377',
    advertiseHost: 'host',
    dataPathAddress: '',
    raftId: 'r',
    peers: Array.from({ length: peers }, (_, i) => ({
      id: `${i}`,
      nodeId: `${i}`,
      address: 'a:1',
    })),
    managers: [],
    moved: [],
    lostRaftIds: [],
  }
  return { node: new NodeRuntime(deps, state, first.manager), managers, failures }
}

const damage = new SwarmError('DATA_LOSS', 'the Raft log is damaged')

t.test('a manager that met damage is started anew, so that it is repaired', async (t) => {
  const { node, managers, failures } = aNode(3)
  managers[0]?.end(damage)
  await until(() => managers.length === 2, 'another is started')
  await until(() => node.manager() === managers[1]?.manager, 'it is the manager now')
  t.equal(managers[0]?.stops, 1)
  t.same(failures, [])
})

t.test('not without end', async (t) => {
  const { node, managers, failures } = aNode(3)
  for (let i = 0; i < 4; i++) {
    await until(() => node.manager() === managers[i]?.manager, `manager ${i} runs`)
    managers[i]?.end(damage)
  }
  await until(() => failures.length === 1, 'the daemon ends')
  t.equal(managers.length, 4)
})

t.test('a lone manager, and one that ends for another reason, end the daemon', async (t) => {
  for (const [peers, err] of [
    [1, damage],
    [0, damage],
    [3, new SwarmError('RESOURCE_EXHAUSTED', 'the disk is full')],
    [3, new Error('a bug')],
  ] as const) {
    const { managers, failures } = aNode(peers)
    managers[0]?.end(err)
    await until(() => failures.length === 1, 'the daemon ends')
    t.match(failures[0], { code: 'INTERNAL', cause: err })
    t.equal(managers.length, 1)
  }
})
