// Three real processes with Raft threads, fsynced logs and mTLS peers on loopback.
import { readdirSync } from 'node:fs'
import t from 'tap'
import { type Member, MemberProcesses } from '../../../support/raft-members.ts'

t.setTimeout(180_000)

const digestsAgree = async (cluster: MemberProcesses, count: number): Promise<boolean> => {
  const states = await Promise.all(cluster.members.map((member) => member.state()))
  return states.every((state) => state.count === count && state.digest === states[0]?.digest)
}

t.test('three processes elect, replicate, survive kill -9, catch up and hand over', async (t) => {
  const cluster = await MemberProcesses.create(3, { snapshotLogBytes: 1024 * 1024 })
  t.teardown(() => cluster.end())
  await cluster.found()
  let total = 0
  const propose = async (leader: Member, count: number): Promise<void> => {
    t.same(await leader.propose(total, count), { committed: count })
    total += count
  }

  await t.test('ten thousand entries are the same everywhere', async (t) => {
    const leader = await cluster.leader()
    const { raft } = await leader.state()
    t.same([...raft.members.voters].sort(), ['raft-0', 'raft-1', 'raft-2'])
    for (let i = 0; i < 10; i++) await propose(leader, 1000)
    await cluster.until('all have applied them', () => digestsAgree(cluster, total))
    await cluster.until('a snapshot was made on the way', async () => {
      const { snapshotIndex, firstIndex } = (await leader.state()).raft
      return snapshotIndex > 0 && firstIndex > 1
    })
  })

  await t.test('reads on every member are as new as the last write', async (t) => {
    const leader = await cluster.leader()
    await propose(leader, 1)
    const { index } = await leader.state()
    for (const member of cluster.members) {
      const outcome = await member.read()
      t.equal(outcome.kind, 'ready')
      t.ok(outcome.kind === 'ready' && outcome.index >= index)
      t.equal((await member.state()).count, total)
    }
  })

  await t.test('a follower proposes nothing and names the leader', async (t) => {
    const leader = await cluster.leader()
    const [follower] = await cluster.others(leader)
    t.same(await follower?.propose(0, 3), { 'not-leader': 3 })
    t.equal((await follower?.state())?.leadership.leader, leader.peer.id)
  })

  await t.test('a follower killed with -9 catches up by the log', async (t) => {
    const leader = await cluster.leader()
    const [victim] = await cluster.others(leader)
    await victim?.kill()
    await propose(leader, 200)
    await victim?.start()
    await cluster.until('it caught up', () => digestsAgree(cluster, total))
    const state = await victim?.state()
    t.ok((state?.restores ?? 0) <= 1, 'at most its own snapshot was restored')
  })

  await t.test('a follower far behind catches up by a snapshot', async (t) => {
    const leader = await cluster.leader()
    const [victim] = await cluster.others(leader)
    await victim?.kill()
    for (let i = 0; i < 8; i++) await propose(leader, 1000)
    let firstIndex = 0
    // As long as it counts as answering, the log is kept for it.
    const isGone = async (): Promise<boolean> => {
      await propose(leader, 1000)
      await leader.compact()
      const { raft } = await leader.state()
      firstIndex = raft.firstIndex
      const behind = raft.peers.find(({ id }) => id === victim?.peer.id)
      return behind !== undefined && behind.matchIndex < firstIndex - 1
    }
    await cluster.until('the log it needs is gone', isGone, 60_000)
    await victim?.start()
    await cluster.until('it caught up', () => digestsAgree(cluster, total), 60_000)
    t.ok(((await victim?.state())?.raft.snapshotIndex ?? 0) >= firstIndex - 1)
  })

  await t.test('the leader killed with -9 is replaced, nothing acknowledged is lost', async (t) => {
    const leader = await cluster.leader()
    await propose(leader, 100)
    await leader.kill()
    const startMs = performance.now()
    const next = await cluster.leader()
    t.comment(`another led after ${Math.round(performance.now() - startMs)} ms`)
    t.not(next, leader)
    await propose(next, 100)
    await leader.start()
    await cluster.until('it caught up', () => digestsAgree(cluster, total))
  })

  await t.test('leadership is handed over on request', async (t) => {
    const leader = await cluster.leader()
    const [to] = await cluster.others(leader)
    const startMs = performance.now()
    t.same(await leader.transfer(to?.peer.id), { kind: 'done', leader: to?.peer.id })
    t.comment(`handed over in ${Math.round(performance.now() - startMs)} ms`)
    t.equal((await cluster.leader()).peer.id, to?.peer.id)
    t.match(await leader.transfer(), { kind: 'not-leader' })
  })

  await t.test('all killed at once with -9 come back with everything', async (t) => {
    await Promise.all(cluster.members.map((member) => member.kill()))
    const startMs = performance.now()
    const sinceMs = (): number => Math.round(performance.now() - startMs)
    await Promise.all(cluster.members.map((member) => member.start()))
    t.comment(`all are up after ${sinceMs()} ms`)
    await propose(await cluster.leader(), 10)
    t.comment(`and committing after ${sinceMs()} ms`)
    await cluster.until('all agree', () => digestsAgree(cluster, total))
    t.pass()
  })

  await t.test('a leader that is stopped in order hands over first', async (t) => {
    const leader = await cluster.leader()
    await leader.order({ kind: 'stop' })
    await leader.kill()
    const startMs = performance.now()
    const next = await cluster.leader()
    t.ok(performance.now() - startMs < 400, 'no election time-out had to pass')
    await propose(next, 10)
    await leader.start()
    await cluster.until('all agree', () => digestsAgree(cluster, total))
  })

  await t.test('a member that was removed is heard no more', async (t) => {
    const leader = await cluster.leader()
    const [gone] = await cluster.others(leader)
    t.equal((await leader.change('remove', gone?.peer.id ?? '')).kind, 'committed')
    const left = cluster.peers.filter(({ id }) => id !== gone?.peer.id)
    for (const member of cluster.members) {
      if (member !== gone) await member.order({ kind: 'set-peers', peers: left })
    }
    const { term } = (await leader.state()).leadership
    const { outcomes } = await leader.load(4, 1500)
    t.same(Object.keys(outcomes), ['committed'], 'for longer than its election time-out')
    t.equal((await leader.state()).leadership.term, term)
  })

  t.notOk(readdirSync(cluster.directory).some((name) => name.endsWith('.new')))
})
