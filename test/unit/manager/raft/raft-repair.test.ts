// Real processes whose files are damaged: they heal from the others, and meanwhile neither vote nor serve.
import { truncateSync } from 'node:fs'
import t from 'tap'
import {
  catchingUp,
  contentBytes,
  damaged,
  filesOf,
  flip,
  halve,
} from '../../../support/raft-damage.ts'
import { type Member, MemberProcesses } from '../../../support/raft-members.ts'

t.setTimeout(170_000)

t.test('a member whose files are damaged heals from the others', async (t) => {
  const cluster = await MemberProcesses.create(3, { snapshotLogBytes: 512 * 1024 })
  t.teardown(() => cluster.end())
  await cluster.found()
  let total = 0
  const write = async (count: number): Promise<void> => {
    t.same(await (await cluster.leader()).propose(total, count), { committed: count })
    total += count
  }
  const agree = (): Promise<void> =>
    cluster.until('all have the same', async () => {
      const states = await Promise.all(cluster.members.map((member) => member.state()))
      return states.every(({ count, digest }) => count === total && digest === states[0]?.digest)
    })
  const follower = async (): Promise<Member> => {
    const [first] = await cluster.others(await cluster.leader())
    if (first === undefined) throw new Error('no follower')
    return first
  }
  const heal = async (member: Member): Promise<void> => {
    await member.start()
    // Else there is nothing to be repaired, and nothing to wait for.
    if (!member.hasSaid(damaged)) throw new Error(`not noticed: ${JSON.stringify(member.lines)}`)
    t.ok(member.hasSaid(catchingUp))
    await cluster.until('it is repaired', async () => member.hasSaid('repaired'))
    await write(10)
    await agree()
  }
  for (let i = 0; i < 3; i++) await write(1000)
  await agree()

  await t.test('flipped bits in a segment of a follower', async (t) => {
    const member = await follower()
    await member.kill()
    const [oldest] = filesOf(member, 'log-')
    flip(oldest ?? '')
    await write(100)
    await heal(member)
    await cluster.until('that is durable', async () => member.hasSaid('repair-durable'))
    await member.kill()
    await member.start()
    t.notOk(member.hasSaid(damaged) || member.hasSaid(catchingUp), 'a restart is an ordinary one')
    await agree()
  })

  await t.test('a segment that was shortened', async (t) => {
    const member = await follower()
    for (let i = 0; i < 12; i++) await write(100)
    await agree()
    await member.kill()
    const older = filesOf(member, 'log-').slice(0, -1)
    const segment = older.findLast((path) => contentBytes(path) > 10_000)
    t.ok(segment !== undefined, `${older.length} older segments`)
    halve(segment ?? '')
    await heal(member)
  })

  await t.test('a log that was stopped in order and shortened since', async () => {
    const member = await follower()
    await member.order({ kind: 'stop' })
    await member.kill()
    const newest = filesOf(member, 'log-').at(-1) ?? ''
    truncateSync(newest, contentBytes(newest) - 1)
    await heal(member)
  })

  await t.test('a snapshot whose damage shows only when it is read', async (t) => {
    const member = await follower()
    await member.order({ kind: 'compact' })
    await member.kill()
    const snapshot = filesOf(member, 'snapshot-').at(-1) ?? ''
    flip(snapshot)
    await member.start()
    await cluster.until('its restore ends it', async () => member.closed !== undefined)
    t.match(member.closed, { code: 'DATA_LOSS', message: /snapshot-/ })
    await member.kill()
    await heal(member)
  })
})
