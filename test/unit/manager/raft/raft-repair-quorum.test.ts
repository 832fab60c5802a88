// Real processes, one of whose directories is damaged while the quorum needs it: it does not vote before it is whole.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { damaged, filesOf, flip } from '../../../support/raft-damage.ts'
import { type Member, MemberProcesses } from '../../../support/raft-members.ts'

t.setTimeout(170_000)

const agree = (cluster: MemberProcesses, total: number): Promise<void> =>
  cluster.until('all have the same', async () => {
    const states = await Promise.all(cluster.members.map((member) => member.state()))
    return states.every(({ count, digest }) => count === total && digest === states[0]?.digest)
  })

t.test('a damaged member does not vote while the quorum needs it', async (t) => {
  const cluster = await MemberProcesses.create(3)
  t.teardown(() => cluster.end())
  await cluster.found()
  const [hurt, away, sound] = cluster.members as [Member, Member, Member]
  const leader = await cluster.leader()
  t.same(await leader.propose(0, 500), { committed: 500 })
  await agree(cluster, 500)
  await Promise.all(cluster.members.map((member) => member.kill()))
  flip(filesOf(hurt, 'log-').at(-1) ?? '')
  await hurt.start()
  await sound.start()
  t.ok(hurt.hasSaid(damaged))
  await cluster.until('the sound one asked for votes again and again', async () => {
    const asked = sound.lines.filter(
      ({ fields }) => 'note' in fields && fields.note === 'campaigning',
    )
    return asked.length >= 5
  })
  for (const member of [hurt, sound]) {
    const { role, leader: known } = (await member.state()).leadership
    t.not(role, 'leader')
    t.equal(known, undefined)
  }
  t.notOk(hurt.hasSaid('vote-granted'))
  t.notOk(hurt.hasSaid('campaigning'))
  t.same(await hurt.read(), { kind: 'no-leader' })
  await away.start()
  const elected = await cluster.leader()
  t.not(elected, hurt)
  await cluster.until('it is repaired', async () => hurt.hasSaid('repaired'))
  await agree(cluster, 500)
  await elected.kill()
  t.not(await cluster.leader(), elected, 'with its vote, or itself')
  await elected.start()

  await t.test('the directory of a former leader, its meta file lost', async (t) => {
    const member = await cluster.leader()
    t.same(await member.propose(500, 100), { committed: 100 })
    await member.kill()
    rmSync(join(member.directory, 'meta'))
    const next = await cluster.leader()
    t.not(next, member)
    t.same(await next.propose(600, 100), { committed: 100 })
    await member.start()
    t.ok(member.hasSaid(damaged))
    await cluster.until('it is repaired', async () => member.hasSaid('repaired'))
    await agree(cluster, 700)
  })
})
