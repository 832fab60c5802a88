// One step at a time from any membership to the wished one.
import fc from 'fast-check'
import t from 'tap'
import { newNode } from '../../../../manager/ca/ca-handlers.ts'
import {
  type MembershipView,
  planMembership,
} from '../../../../manager/membership/plan-membership.ts'
import { type Node, type NodeRole, raftId } from '../../../../proto/objects/index.ts'
import { aNode as aFullNode } from '../../../support/objects.ts'

function aNode(
  id: string,
  role: NodeRole,
  wish: NodeRole = role,
  inRaft = role === 'manager',
): Node {
  const node = newNode(id, role, 0)
  const manager = { raftId: raftId(`r-${id}`), address: `${id}:2377`, raftAddress: `${id}:2378` }
  return { ...node, spec: { ...node.spec, role: wish }, manager: inRaft ? manager : undefined }
}

function aView(
  nodes: readonly Node[],
  voters: readonly string[],
  learners: readonly string[] = [],
): MembershipView {
  const peers = [...voters, ...learners].map((id) => ({
    id,
    matchIndex: 100,
    isActive: true,
    state: 'replicate' as const,
  }))
  return {
    nodes,
    selfRaftId: 'r-a',
    members: { voters, learners, outgoing: [] },
    peers,
    commitIndex: 100,
    clusterLevel: 1,
    ownLevel: 1,
  }
}

t.test('a joined manager becomes a learner, then a voter', async (t) => {
  const nodes = [aNode('a', 'manager'), aNode('b', 'manager')]
  t.same(planMembership(aView(nodes, ['r-a'])), { kind: 'add-learner', raftId: 'r-b' })
  t.same(planMembership(aView(nodes, ['r-a'], ['r-b'])), { kind: 'add-voter', raftId: 'r-b' })
  t.same(planMembership(aView(nodes, ['r-a', 'r-b'])), { kind: 'done' })
})

t.test('a learner that lags or is silent waits', async (t) => {
  const view = aView([aNode('a', 'manager'), aNode('b', 'manager')], ['r-a'], ['r-b'])
  const silent = view.peers.map((peer) => ({ ...peer, isActive: peer.id !== 'r-b' }))
  t.match(planMembership({ ...view, peers: silent }), { kind: 'wait' })
  t.match(planMembership({ ...view, commitIndex: 10_000 }), { kind: 'wait' })
})

t.test('a demoted manager leaves Raft first, then its role changes', async (t) => {
  const nodes = [aNode('a', 'manager'), aNode('b', 'manager', 'worker')]
  t.same(planMembership(aView(nodes, ['r-a', 'r-b'])), { kind: 'remove', raftId: 'r-b' })
  t.same(planMembership(aView(nodes, ['r-a'])), { kind: 'set-role', nodeId: 'b', role: 'worker' })
})

t.test('a leader that is to go hands over', async (t) => {
  const nodes = [aNode('a', 'manager', 'worker'), aNode('b', 'manager')]
  t.same(planMembership(aView(nodes, ['r-a', 'r-b'])), { kind: 'transfer' })
})

t.test('a promotion sets the role at once', async (t) => {
  const nodes = [aNode('a', 'manager'), aNode('b', 'worker', 'manager')]
  t.same(planMembership(aView(nodes, ['r-a'])), { kind: 'set-role', nodeId: 'b', role: 'manager' })
})

t.test('while a joint change is under way nothing else begins', async (t) => {
  const view = aView([aNode('a', 'manager')], ['r-a'])
  t.match(planMembership({ ...view, members: { ...view.members, outgoing: ['r-a'] } }), {
    kind: 'wait',
  })
})

t.test('property: from any start the steps end at the wished members', async (t) => {
  const ids = ['a', 'b', 'c', 'd', 'e']
  const states = fc.constantFrom('wanted', 'demoted', 'promoted', 'worker', 'unknown')
  fc.assert(
    fc.property(
      fc.array(states, { minLength: 4, maxLength: 4 }),
      fc.infiniteStream(fc.boolean()),
      (rest, coin) => {
        let nodes: readonly Node[] = [aNode('a', 'manager')]
        let voters = ['r-a']
        let learners: string[] = []
        rest.forEach((state, at) => {
          const id = ids[at + 1] ?? ''
          if (state === 'wanted') nodes = [...nodes, aNode(id, 'manager')]
          if (state === 'demoted') nodes = [...nodes, aNode(id, 'manager', 'worker')]
          if (state === 'promoted') nodes = [...nodes, aNode(id, 'worker', 'manager')]
          if (state === 'worker') nodes = [...nodes, aNode(id, 'worker')]
          if (state === 'promoted' || state === 'worker') return
          const place = coin.next().value
          if (place) voters = [...voters, `r-${id}`]
          else learners = [...learners, `r-${id}`]
        })
        for (let turn = 0; turn < 40; turn++) {
          const step = planMembership(aView(nodes, voters, learners))
          if (step.kind === 'done') {
            const wanted = nodes
              .filter((node) => node.spec.role === 'manager' && node.manager)
              .map((node) => `r-${node.id}`)
            return (
              learners.length === 0 &&
              [...voters].sort().join() === wanted.sort().join() &&
              nodes.every((n) => n.role === n.spec.role)
            )
          }
          if (step.kind === 'add-learner') learners = [...learners, step.raftId]
          if (step.kind === 'add-voter' || step.kind === 'remove') {
            learners = learners.filter((id) => id !== step.raftId)
            voters = voters.filter((id) => id !== step.raftId)
            if (step.kind === 'add-voter') voters = [...voters, step.raftId]
          }
          if (step.kind === 'set-role') {
            nodes = nodes.map((node) =>
              node.id === step.nodeId
                ? {
                    ...node,
                    role: step.role,
                    manager: step.role === 'worker' ? undefined : node.manager,
                  }
                : node,
            )
          }
          if (step.kind === 'transfer') return false
        }
        return false
      },
    ),
    { verbose: 1 },
  )
  t.pass()
})

t.test('the cluster moves to a higher feature level once every manager knows it', async (t) => {
  const knowing = (node: Node, featureLevel: number): Node => {
    const { description } = aFullNode({})
    return { ...node, description: description && { ...description, featureLevel } }
  }
  const [a, b] = [aNode('a', 'manager'), aNode('b', 'manager')]
  const worker = knowing(aNode('w', 'worker'), 1)
  const plan = (nodes: readonly Node[], clusterLevel: number, ownLevel: number) =>
    planMembership({ ...aView(nodes, ['r-a', 'r-b']), clusterLevel, ownLevel })
  const both = [knowing(a, 3), knowing(b, 2), worker]
  t.same(plan(both, 1, 3), { kind: 'raise-level', level: 2 }, 'workers do not count')
  t.same(plan(both, 2, 3), { kind: 'done' }, 'the lowest counts')
  t.same(plan(both, 3, 3), { kind: 'done' }, 'never lowered')
  t.same(plan([knowing(a, 9), knowing(b, 9)], 1, 2), { kind: 'raise-level', level: 2 }, 'own')
  t.same(plan([knowing(a, 3), b], 1, 3), { kind: 'done' }, 'one that has not said so yet')
})
