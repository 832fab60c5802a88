// Which managers the leader calls reachable.
import t from 'tap'
import { createClusterDirectory } from '../../../manager/cluster-directory.ts'
import type { Leadership, RaftHandle, RaftStatus } from '../../../manager/raft/raft-handle.ts'
import { createMemoryStore } from '../../../manager/store/memory-store.ts'
import { seededRandom } from '../../../proto/lib/random.ts'
import { nodeId, raftId } from '../../../proto/objects/index.ts'
import { aNode } from '../../support/objects.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

t.test('a new leader calls nobody unreachable that it had no time to hear from', async (t) => {
  const clock = new VirtualClock()
  const random = seededRandom(1)
  const store = createMemoryStore({ clock, random })
  for (const id of ['m1', 'm2']) {
    const manager = {
      raftId: raftId(`raft-${id}`),
      address: `${id}:2377`,
      raftAddress: `${id}:2378`,
    }
    const node = aNode({ id, role: 'manager' })
    await store.update((tx) => tx.create('nodes', { ...node, manager }))
  }
  let leadership: Leadership = { role: 'follower', leader: undefined, term: 3 }
  let active = false
  const raft: Partial<RaftHandle> = {
    id: 'raft-m1',
    leadership: () => leadership,
    status: async () => {
      const peer = { id: 'raft-m2', matchIndex: 0, isActive: active, state: 'probe' as const }
      const status: Partial<RaftStatus> = {
        leadership,
        peers: leadership.role === 'leader' ? [peer] : [],
      }
      return status as RaftStatus
    },
  }
  const directory = createClusterDirectory({
    selfNodeId: nodeId('m1'),
    clusterId: 'c',
    store,
    raft: raft as RaftHandle,
    clock,
    random,
  })
  const life = new AbortController()
  const refreshing = directory.refresh(life.signal)
  await clock.advance(1_000)
  leadership = { role: 'leader', leader: 'raft-m1', term: 4 }
  t.ok(directory.reachable(nodeId('m1')))
  t.ok(directory.reachable(nodeId('m2')), 'elected just now')
  await clock.advance(250)
  t.notOk(directory.reachable(nodeId('m2')), 'Raft says it is silent')
  active = true
  await clock.advance(250)
  t.ok(directory.reachable(nodeId('m2')))
  t.notOk(directory.reachable(nodeId('nobody')))
  life.abort()
  await clock.advance(250)
  await refreshing
})
