// Whole members: real disks and clock, a network within this process.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DamagedLogError, ForeignLogError, WrongKeyError } from 'raft-ts'
import { LocalNetwork, plainStateMachine, startMember } from 'raft-ts/node'
import t from 'tap'
import { type Held, leaderOf, Members, propose, Words } from './support/members.ts'
import { until } from './support/until.ts'

const voters = ['a', 'b', 'c']

function three(members: Members, network: LocalNetwork): Promise<readonly Held[]> {
  return Promise.all(voters.map((id) => members.start(id, network, { voters })))
}

t.test('a proposal is answered with what the state machine made of it', async (t) => {
  const all = await three(new Members(t), new LocalNetwork())
  t.equal(await propose(all, 'one'), 1)
  const leader = await leaderOf(all)
  // Many at once share batches, and each gets its own result.
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, (_, i) => leader.member.propose(Buffer.from(`${i}`))),
  )
  t.same(
    outcomes.map((outcome) => (outcome.kind === 'committed' ? outcome.result : outcome)),
    Array.from({ length: 100 }, (_, i) => i + 2),
  )
  const follower = all.find(({ member }) => !member.isLeader) as Held
  const read = await follower.member.read(() => follower.words.words.length)
  t.match(read, { kind: 'ready', value: 101 })
  t.match(await follower.member.readIndex(), { kind: 'ready' })
  t.same(await follower.member.propose(Buffer.from('no')), {
    kind: 'not-leader',
    leader: leader.member.id,
  })
  t.equal(follower.member.leadership.leader, leader.member.id)
  t.equal(follower.member.status().role, 'follower')
})

t.test('what the caller gave wrongly rejects, and the member goes on', async (t) => {
  const members = new Members(t)
  const network = new LocalNetwork()
  const { member, failures } = await members.start('a', network, { voters: ['a'] })
  t.equal(await member.waitForLeader(), 'a')
  await t.rejects(member.propose(new Uint8Array(0)), RangeError)
  await t.rejects(member.propose(new Uint8Array(8 * 1024 * 1024 + 1)), /8388608 bytes at most/)
  const thrown = member.read(() => {
    throw new Error('mine')
  })
  await t.rejects(thrown, { message: 'mine' })
  await t.rejects(members.start('a', network), /member a is part of this network already/)
  await t.rejects(members.start('', network), /id of a member is of 1 to 255 bytes/)
  for (const id of ['', 'x'.repeat(256), '\ud800']) {
    await t.rejects(member.change({ steps: [{ kind: 'add-voter', id }] }), RangeError)
    await t.rejects(member.addVoter(id), RangeError)
    await t.rejects(members.start('b', network, { voters: ['b', id] }), RangeError)
  }
  t.match(await member.propose(Buffer.from('x')), { kind: 'committed', result: 1 })
  t.same(failures, [])
})

t.test(
  'state and log are there after a restart, from a snapshot and what follows it',
  async (t) => {
    const members = new Members(t)
    const network = new LocalNetwork()
    const first = await members.start('a', network, { voters: ['a'] })
    await propose([first], 'one')
    await propose([first], 'two')
    first.member.compact()
    await until('a snapshot', () => first.member.status().snapshotIndex > 0)
    await propose([first], 'three')
    await members.stop(first)
    const again = await members.start('a', network)
    await until('all is applied', () => again.words.words.length === 3)
    t.same(again.words.words, ['one', 'two', 'three'])
    const files = readdirSync(join(members.directory, 'a'))
    t.same(files.toSorted(), ['log', 'raft.key'])
    t.equal(statSync(join(members.directory, 'a', 'raft.key')).mode & 0o777, 0o600)
  },
)

t.test('a learner is added, caught up, made a voter, and a voter removed', async (t) => {
  const members = new Members(t)
  const network = new LocalNetwork()
  const snapshotPolicy = { entriesKept: 0 }
  const all = await Promise.all(
    voters.map((id) => members.start(id, network, { voters, snapshotPolicy })),
  )
  await propose(all, 'one')
  const leader = await leaderOf(all)
  // From a snapshot, because the log is gone.
  leader.member.compact()
  await until('a snapshot', () => leader.member.status().snapshotIndex > 0)
  const d = await members.start('d', network)
  t.match(await leader.member.change({ steps: [{ kind: 'add-learner', id: 'd' }] }), {
    kind: 'committed',
  })
  await until('the learner has it', () => d.words.words.length === 1)
  t.ok(d.member.status().snapshotIndex > 0)
  const removed = all.find(({ member }) => !member.isLeader) as Held
  const outcome = await leader.member.change({
    steps: [
      { kind: 'add-voter', id: 'd' },
      { kind: 'remove', id: removed.member.id },
    ],
  })
  t.match(outcome, { kind: 'committed' })
  const { conf } = leader.member.status()
  t.ok(conf.voters.includes('d') && !conf.voters.includes(removed.member.id))
  t.match(await leader.member.change({ steps: [{ kind: 'remove', id: 'nobody' }] }), {
    kind: 'refused',
  })
})

t.test('leadership is handed over, on request and by a leader that stops', async (t) => {
  const members = new Members(t)
  const all = await three(members, new LocalNetwork())
  const first = await leaderOf(all)
  const to = (all.find(({ member }) => !member.isLeader) as Held).member.id
  t.same(await first.member.transferLeadership(to), { kind: 'done', leader: to })
  const second = await until('the new leader is told', () =>
    all.find(({ member }) => member.isLeader && member.id === to),
  )
  const rest = all.filter((held) => held !== second)
  const terms = rest.map(({ member }) => member.status().term)
  await members.stop(second)
  const third = await leaderOf(rest)
  // One election, by the one that was asked to: nobody waited for a time-out and failed.
  t.equal(third.member.status().term, Math.max(...terms) + 1)
  await members.stop(second)
  t.match(await second.member.propose(Buffer.from('late')), { kind: 'lost' })
  t.match(await second.member.read(() => 1), { kind: 'no-leader' })
  t.match(await second.member.transferLeadership(), { kind: 'failed' })
  t.equal(await second.member.waitForLeader(), undefined)
})

t.test('without a quorum every request has its end', async (t) => {
  const members = new Members(t)
  const network = new LocalNetwork()
  const options = { voters, requestTimeoutMs: 200 }
  const all = await Promise.all(voters.map((id) => members.start(id, network, options)))
  const leader = await leaderOf(all)
  network.cut(leader.member.id)
  t.match(await leader.member.propose(Buffer.from('x')), { kind: 'lost' })
  t.match(await leader.member.read(() => 1), { kind: 'no-leader' })
  const change = await leader.member.change({ steps: [{ kind: 'remove', id: 'a' }] })
  t.ok(change.kind === 'lost' || change.kind === 'not-leader', change.kind)
  await until('the leader noticed', () => leader.member.leadership.role !== 'leader')
  t.equal(await leader.member.waitForLeader(50), undefined)
  network.heal(leader.member.id)
  t.type(await leader.member.waitForLeader(30_000), 'string')
  // What was lost may be applied some day, and once at most.
  await propose(all, 'y')
  const { words } = leader.words
  t.ok(words.filter((word) => word === 'x').length <= 1)
})

t.test('one survivor of a lost quorum begins anew with all it has', async (t) => {
  const members = new Members(t)
  const network = new LocalNetwork()
  const all = await three(members, network)
  await propose(all, 'one')
  const survivor = all[0] as Held
  await until('the survivor has it', () => survivor.words.words.length === 1)
  for (const held of all) await members.stop(held)
  const again = await members.start('a', network, { recovery: 'force-new-cluster' })
  t.equal(await propose([again], 'two'), 2)
  t.same(again.member.status().conf.voters, ['a'])
  const d = await members.start('d', network)
  t.match(await again.member.addVoter('d'), { kind: 'committed' })
  t.equal(again.member.abortTransfer(), false)
  await until('the new member has all', () => d.words.words.length === 2)
})

t.test('a damaged log is refused, and mended from the peers with repair', async (t) => {
  const members = new Members(t)
  const network = new LocalNetwork()
  const all = await three(members, network)
  for (const word of ['one', 'two', 'three']) await propose(all, word)
  const damaged = all.find(({ member }) => !member.isLeader) as Held
  const { id } = damaged.member
  await until('it has all', () => damaged.words.words.length === 3)
  await members.stop(damaged)
  const log = join(members.directory, id, 'log')
  const segment = readdirSync(log).find((name) => name.startsWith('log-')) as string
  const bytes = readFileSync(join(log, segment))
  // Behind the head of the segment, in its first record: most of the file is zeros.
  const at = 150
  bytes[at] = (bytes[at] as number) ^ 1
  writeFileSync(join(log, segment), bytes)
  await t.rejects(members.start(id, network), DamagedLogError)
  const again = await members.start(id, network, { recovery: 'repair' })
  await until('it has all again', () => again.words.words.length === 3)
  await until('it takes part again', () => !again.member.status().repairing)
})

t.test('a directory of another cluster and another key are refused', async (t) => {
  const members = new Members(t)
  const network = new LocalNetwork()
  const first = await members.start('a', network, { voters: ['a'], cluster: 'one' })
  await propose([first], 'x')
  await members.stop(first)
  await t.rejects(members.start('a', network, { cluster: 'two' }), ForeignLogError)
  const key = { id: 'raft.key', key: new Uint8Array(32) }
  await t.rejects(members.start('a', network, { cluster: 'one', key }), WrongKeyError)
  // Nothing of what failed is left in the way.
  const again = await members.start('a', network, { cluster: 'one' })
  await until('applied', () => again.words.words.length === 1)
})

t.test('keys are exchanged while the member goes on', async (t) => {
  const members = new Members(t)
  const network = new LocalNetwork()
  const first = await members.start('a', network, { voters: ['a'] })
  await propose([first], 'one')
  const file = join(members.directory, 'a', 'raft.key')
  const before = readFileSync(file, 'utf8')
  const [two] = await Promise.all([
    propose([first], 'two'),
    first.member.rotateKeys(),
    first.member.rotateKeys(),
  ])
  t.equal(two, 2)
  t.not(readFileSync(file, 'utf8'), before)
  await propose([first], 'three')
  const key = { id: 'mine', key: new Uint8Array(32) }
  await t.rejects(first.member.rotateKeys(key), RangeError)
  await members.stop(first)
  await t.rejects(first.member.rotateKeys(), /member a has ended/)
  const again = await members.start('a', network)
  await until('all is applied', () => again.words.words.length === 3)
  t.same(again.failures, [])
})

t.test('a key of the caller is exchanged for the next one', async (t) => {
  const members = new Members(t)
  const network = new LocalNetwork()
  const key = { id: 'one', key: new Uint8Array(32).fill(1) }
  const next = { id: 'two', key: new Uint8Array(32).fill(2) }
  const first = await members.start('a', network, { voters: ['a'], key })
  await propose([first], 'one')
  await t.rejects(first.member.rotateKeys(), RangeError)
  await first.member.rotateKeys(next)
  await propose([first], 'two')
  await members.stop(first)
  await t.rejects(members.start('a', network, { key }), WrongKeyError)
  const again = await members.start('a', network, { key: next })
  await until('all is applied', () => again.words.words.length === 2)
  t.same(readdirSync(join(members.directory, 'a')), ['log'])
})

t.test('a state machine that throws ends the member, and says so once', async (t) => {
  const members = new Members(t)
  class Broken extends Words {
    override apply(data: Uint8Array): number {
      if (data.length > 3) throw new Error('too long a word')
      return super.apply(data)
    }
  }
  const broken = await members.start('a', new LocalNetwork(), {
    voters: ['a'],
    stateMachine: plainStateMachine(new Broken()),
  })
  await propose([broken], 'one')
  t.match(await broken.member.propose(Buffer.from('three')), { kind: 'lost' })
  t.match(broken.failures, [{ message: /apply: Error: too long a word/ }])
  t.equal(await broken.member.waitForLeader(), undefined)
  t.equal(broken.member.isLeader, false)
})

t.test('a snapshot that cannot be restored ends the member', async (t) => {
  const members = new Members(t)
  const network = new LocalNetwork()
  const first = await members.start('a', network, { voters: ['a'] })
  await propose([first], 'one')
  first.member.compact()
  await until('a snapshot', () => first.member.status().snapshotIndex > 0)
  await members.stop(first)
  class Forgetful extends Words {
    override restore(): void {
      throw new Error('of another version')
    }
  }
  const again = await members.start('a', network, {
    stateMachine: plainStateMachine(new Forgetful()),
  })
  await until('it failed', () => again.failures.length > 0)
  t.match(again.failures, [{ message: /restore of the snapshot at index \d+: .*another version/ }])
})

t.test('a network that cannot be joined leaves nothing behind', async (t) => {
  const members = new Members(t)
  const start = startMember({
    id: 'a',
    directory: join(members.directory, 'a'),
    network: { join: () => Promise.reject(new Error('no network')) },
    stateMachine: plainStateMachine(new Words()),
    onFailed: () => {},
  })
  await t.rejects(start, { message: 'no network' })
  t.same(readdirSync(members.directory), [])
})
