// Long calls end with what let them in.
import t from 'tap'
import { AddressBook } from '../../../../manager/membership/address-book.ts'
import { followNodes } from '../../../../manager/membership/follow-nodes.ts'
import type { RaftHandle } from '../../../../manager/raft/raft-handle.ts'
import type { AnyCall } from '../../../../manager/rpc/adapter.ts'
import { CutList } from '../../../../manager/rpc/cut-list.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { type NodeRole, nodeId } from '../../../../proto/objects/index.ts'
import { aNode } from '../../../support/objects.ts'
import { settle, VirtualClock } from '../../../support/virtual-clock.ts'

const dayMs = 86_400_000

function aCall(role: NodeRole, clock: VirtualClock, lifeMs: number): AnyCall {
  const utc = (ms: number): string => new Date(ms).toUTCString()
  const sslPeerCertificate = {
    subject: { CN: 'n1', OU: `swarm-${role}`, O: 'c1' },
    valid_from: utc(clock.wallMs()),
    valid_to: utc(clock.wallMs() + lifeMs),
  }
  return { getAuthContext: () => ({ sslPeerCertificate }) } as unknown as AnyCall
}

/** A long call of node n1, and why it was cut. */
function tracked(list: CutList, clock: VirtualClock, role: NodeRole, lifeMs = 90 * dayMs) {
  const reasons: string[] = []
  const caller = { kind: 'node', nodeId: nodeId('n1'), role } as const
  const end = list.track(caller, aCall(role, clock, lifeMs), ({ message }) => reasons.push(message))
  return { reasons, end }
}

t.test('a call is cut when its certificate expires, and no earlier', async (t) => {
  const clock = new VirtualClock()
  const list = new CutList(clock)
  const long = tracked(list, clock, 'worker')
  const ended = tracked(list, clock, 'worker')
  ended.end()
  await clock.advance(60 * dayMs)
  t.same(long.reasons, [], 'longer than one timer can wait')
  await clock.advance(30 * dayMs + 2_000)
  t.match(long.reasons, [/certificate has expired/])
  t.same(ended.reasons, [])
})

t.test('removal cuts all calls of a node, demotion those that it made as a manager', async (t) => {
  const clock = new VirtualClock()
  const list = new CutList(clock)
  const [asManager, asWorker] = [tracked(list, clock, 'manager'), tracked(list, clock, 'worker')]
  list.cutManager(nodeId('n1'))
  t.match([asManager.reasons, asWorker.reasons], [[/not a manager any more/], []])
  list.cutNode(nodeId('n1'))
  t.match(asWorker.reasons, [/was removed/])
})

t.test('a manager that missed changes of nodes cuts what they would have cut', async (t) => {
  for (const [what, cause] of [
    ['removed', /was removed/],
    ['demoted', /not a manager any more/],
  ] as const) {
    const clock = new VirtualClock()
    const store = createMemoryStore({ clock, random: seededRandom(1), encode: true })
    await store.update((tx) => tx.create('nodes', aNode({ id: 'n1', role: 'manager' })))
    const list = new CutList(clock)
    const call = tracked(list, clock, 'manager')
    const raft = { setPeers: () => {} } as unknown as RaftHandle
    const life = new AbortController()
    const book = new AddressBook({ store, self: nodeId('m1') })
    const done = followNodes({ store, raft, cutList: list, book })(life.signal)
    await settle()
    t.same(call.reasons, [])

    const other = createMemoryStore({ clock, random: seededRandom(2), encode: true })
    await other.update((tx) => {
      if (what === 'demoted') tx.create('nodes', aNode({ id: 'n1', role: 'worker' }))
      else tx.create('nodes', aNode({ id: 'n2' }))
    })
    // A snapshot from the leader replaces the state: watches end, and nobody is told what changed.
    await store.restore(9, other.snapshot())
    await settle()
    t.match(call.reasons, [cause], what)
    call.end()
    life.abort()
    await done
  }
})
