// Whole members over TCP with mutual TLS: replication, a snapshot of several windows, new certificates while running.
import { TcpNetwork } from 'raft-ts/node'
import t from 'tap'
import { aRoot } from './support/certificates.ts'
import { type Held, leaderOf, Members, propose } from './support/members.ts'
import { until } from './support/until.ts'

const host = '127.0.0.1'
const voters = ['a', 'b', 'c']

t.test('members replicate, send snapshots, and change certificates under way', async (t) => {
  const members = new Members(t)
  const root = await aRoot()
  const networks = new Map<string, TcpNetwork>()
  const networkOf = async (id: string): Promise<TcpNetwork> => {
    const network = new TcpNetwork({
      listen: { host, port: 0 },
      addressOf: (peer) => {
        const port = networks.get(peer)?.port
        return port === undefined ? undefined : { host, port }
      },
      security: {
        ...(await root.issue(id)),
        verifyPeer: (peer, { subject }) => subject.CN === peer,
      },
    })
    networks.set(id, network)
    return network
  }
  const start = async (id: string): Promise<Held> =>
    members.start(id, await networkOf(id), {
      snapshotPolicy: { entriesKept: 0 },
      ...(voters.includes(id) ? { voters } : {}),
    })
  const all = await Promise.all(voters.map(start))
  const leader = await leaderOf(all)
  // More than the window of a snapshot, and than the lane may hold.
  const word = 'x'.repeat(500_000)
  for (let i = 0; i < 12; i++) await propose(all, `${i} ${word}`)
  leader.member.compact()
  await until('a snapshot', () => leader.member.status().snapshotIndex > 0)

  const d = await start('d')
  t.match(await leader.member.addVoter('d'), { kind: 'committed' })
  t.ok(d.member.status().snapshotIndex > 0, 'it came as a snapshot')
  t.match(await d.member.read(() => d.words.words.length), { kind: 'ready', value: 12 })

  for (const [id, network] of networks) network.renew(await root.issue(id))
  t.equal(await propose([...all, d], 'after'), 13)
  for (const held of [...all, d]) {
    await until(`${held.member.id} has all`, () => held.words.words.length === 13)
    t.same(held.failures, [])
  }
})
