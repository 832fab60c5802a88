// Real processes on a device that fails to flush: the member ends, says so, and comes back once the device is sound.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Member, MemberProcesses } from '../../../support/raft-members.ts'

t.setTimeout(170_000)

const variable = 'TSSWARM_TEST_FAILING_SYNC'
const preload = new URL('../../../support/failing-sync.js', import.meta.url).href

for (const role of ['leader', 'follower'] as const) {
  t.test(`a failing flush ends a ${role} cleanly, and it comes back with all`, async (t) => {
    const cluster = await MemberProcesses.create(3)
    const trigger = join(cluster.directory, 'failing')
    process.env[variable] = trigger
    t.teardown(async () => {
      delete process.env[variable]
      await cluster.end()
    })
    await cluster.found()
    const leader = await cluster.leader()
    t.same(await leader.propose(0, 100), { committed: 100 })
    const [other] = await cluster.others(leader)
    const hurt = role === 'leader' ? leader : (other as Member)
    await hurt.kill()
    await hurt.start({ preload })
    await cluster.until('it has all', async () => (await hurt.state()).count === 100)
    await cluster.until('it leads, or does not', async () => {
      const now = await cluster.leader()
      if ((now === hurt) === (role === 'leader')) return true
      await now.transfer(role === 'leader' ? hurt.peer.id : undefined)
      return false
    })
    const asked = await cluster.leader()
    writeFileSync(trigger, '')
    const outcome = await asked.propose(100, 1)
    await cluster.until('it ended', async () => hurt.closed !== undefined)
    rmSync(trigger)
    t.match(hurt.closed, {
      code: 'INTERNAL',
      message: /cannot (write to|sync) .*EIO.*device.*kernel log/,
    })
    if (role === 'follower') t.same(outcome, { committed: 1 }, 'the others go on')
    else t.same(outcome, { lost: 1 }, 'nothing is acknowledged that is not durable here')
    await hurt.kill()
    const next = await cluster.leader()
    t.same(await next.propose(200, 50), { committed: 50 })
    await hurt.start()
    await cluster.until('all have the same', async () => {
      const states = await Promise.all(cluster.members.map((member) => member.state()))
      return states.every(({ count, digest }) => count >= 150 && digest === states[0]?.digest)
    })
  })
}
