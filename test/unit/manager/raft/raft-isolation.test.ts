// A main thread that does not answer, in a real process under load: what goes on without it, and when it costs the
// leadership.
import t, { type Test } from 'tap'
import { type Member, MemberProcesses } from '../../../support/raft-members.ts'

t.setTimeout(180_000)

const proposers = 200
const queued = { from: 1_000_000, count: 500, size: 256 }

interface Blocked {
  readonly cluster: MemberProcesses
  readonly leader: Member
  readonly others: readonly Member[]
  readonly term: number
}

/** Three members under load of the leader. */
async function aLoadedCluster(t: Test, loadMs: number) {
  const cluster = await MemberProcesses.create(3)
  t.teardown(() => cluster.end())
  await cluster.found()
  const leader = await cluster.leader()
  const { leadership, count } = await leader.state()
  const load = leader.load(proposers, loadMs)
  // Not more: on a busy machine the load is over before.
  await cluster.until(
    'it is under load',
    async () => (await leader.state()).count > count + proposers,
  )
  const others = await cluster.others(leader)
  return { cluster, leader, others, load, term: leadership.term }
}

async function untilAgreed({ cluster }: Pick<Blocked, 'cluster'>): Promise<void> {
  await cluster.until('all have applied the same', async () => {
    const states = await Promise.all(cluster.members.map((member) => member.state()))
    return states.every(
      ({ digest, index }) => digest === states[0]?.digest && index === states[0].index,
    )
  })
}

t.test(
  'blocked for 2 s: the leader leads on, what was queued is committed meanwhile',
  async (t) => {
    const { cluster, leader, others, load, term } = await aLoadedCluster(t, 4_500)
    const blocking = leader.block(2_000, queued)
    for (const other of others) {
      await cluster.until('a follower has applied what was queued', async () => {
        const { count, isInOrder } = await other.find(queued)
        return count === queued.count && isInOrder
      })
    }
    const { foundAtEnd, outcomes } = await blocking
    t.same(foundAtEnd.count, 0, 'all others were faster: here it was applied after the block')
    t.same(outcomes, { committed: queued.count }, 'and every proposer was told')
    t.same(await leader.find(queued), { count: queued.count, isInOrder: true })
    t.same(
      Object.keys((await load).outcomes),
      ['committed'],
      'so were those that came before and after',
    )
    for (const member of cluster.members) {
      const { leadership } = await member.state()
      t.match(leadership, { leader: leader.peer.id, term }, `${member.peer.id} saw no other leader`)
    }
    await untilAgreed({ cluster })
  },
)

t.test('blocked for longer than the watchdog waits: it hands over', async (t) => {
  const { cluster, leader, others, load, term } = await aLoadedCluster(t, 2_000)
  let isBlocked = true
  const blocking = leader.block(9_000, queued).finally(() => {
    isBlocked = false
  })
  const startMs = performance.now()
  let next: Member | undefined
  await cluster.until('another leads', async () => {
    for (const other of others) {
      if ((await other.state()).leadership.role === 'leader') next = other
    }
    return next !== undefined
  })
  const ms = performance.now() - startMs
  t.ok(isBlocked, 'while it was blocked')
  t.ok(ms > 3_500, `not before the watchdog's time: ${Math.round(ms)} ms`)
  t.same(await next?.propose(0, 100), { committed: 100 }, 'and serves')
  const { foundAtEnd, outcomes } = await blocking
  t.equal(foundAtEnd.count, 0)
  t.same(outcomes, { committed: queued.count }, 'what was queued before had long been committed')
  await load
  await cluster.until('the old one follows', async () => {
    const { leadership } = await leader.state()
    return leadership.role === 'follower' && leadership.leader === next?.peer.id
  })
  t.ok((await leader.state()).leadership.term > term)
  await untilAgreed({ cluster })
  t.same(await leader.find(queued), { count: queued.count, isInOrder: true })
})
