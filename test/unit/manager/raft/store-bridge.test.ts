import t from 'tap'
import type {
  CommittedEntry,
  ProposeOutcome,
  RaftHandle,
} from '../../../../manager/raft/raft-handle.ts'
import { RaftProposer, storeStateMachine } from '../../../../manager/raft/store-bridge.ts'
import { ReplicatedStore } from '../../../../manager/store/replicated-store.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { aTask } from '../../../support/objects.ts'
import { collect, contents, Replicas, streamOf } from '../../../support/replicated-stores.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

function raftThat(outcome: ProposeOutcome): RaftHandle {
  return { propose: async () => outcome } as unknown as RaftHandle
}

t.test('outcomes of Raft are told in the words of the store', async (t) => {
  const proposer = new RaftProposer()
  const data = new Uint8Array(1)
  t.same(await proposer.propose(data), { kind: 'not-leader' }, 'before there is a handle')
  const cases: readonly (readonly [ProposeOutcome, string])[] = [
    [{ kind: 'committed', index: 7, term: 2 }, 'committed'],
    [{ kind: 'not-leader', leader: 'm2' }, 'not-leader'],
    [{ kind: 'busy' }, 'busy'],
    [{ kind: 'lost' }, 'unknown'],
  ]
  for (const [outcome, kind] of cases) {
    proposer.open(raftThat(outcome))
    t.match(await proposer.propose(data), { kind })
  }
})

async function aLog(entries: number): Promise<Replicas> {
  const replicas = new Replicas()
  for (let at = 0; at < entries; at++) {
    const update = replicas.leader.update((tx) => {
      for (let i = 0; i < 100; i++) tx.create('tasks', aTask({ id: `t${at}-${i}` }))
    })
    await replicas.commitAll()
    await update
  }
  return replicas
}

function aStore(breathe: () => Promise<void>): ReplicatedStore {
  return new ReplicatedStore({
    proposer: new RaftProposer(),
    clock: new VirtualClock(),
    random: seededRandom(1),
    breathe,
  })
}

t.test(
  'a short run of entries is applied at once, a long one in slices that let others run',
  async (t) => {
    const replicas = await aLog(60)
    let breaths = 0
    const store = aStore(async () => {
      breaths += 1
    })
    const machine = storeStateMachine(store)
    const log: readonly CommittedEntry[] = replicas.log
    t.equal(machine.apply(log.slice(0, 3)), undefined)
    t.equal(store.appliedIndex, 3)
    const rest = machine.apply(log.slice(3))
    t.ok(store.appliedIndex < log.length, 'part of it waits')
    await rest
    t.equal(store.appliedIndex, log.length)
    t.ok(breaths >= 2, `${breaths} pauses`)
    t.same(store.view(contents), replicas.leader.view(contents))
  },
)

t.test('snapshots pass through to the store', async (t) => {
  const replicas = await aLog(3)
  const chunks = await collect(storeStateMachine(replicas.leader).snapshot())
  const store = aStore(async () => {})
  await storeStateMachine(store).restore({ index: 4, term: 1 }, streamOf(chunks))
  t.equal(store.appliedIndex, 4)
  t.same(store.view(contents), replicas.leader.view(contents))
})
