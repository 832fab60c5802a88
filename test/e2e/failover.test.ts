// Three managers lose their leader in every way, under writes; then leaders that are told to go. One lab for the file.
import t, { type Test } from 'tap'
import { failOver, faults, leaderOf } from '../bench/failover-try.ts'
import { LabCluster } from '../bench/lab-cluster.ts'
import { removeWrites, WriteLoad } from '../bench/write-load.ts'
import { LoadMeter } from '../support/load-meter.ts'

t.setTimeout(600_000)
const cluster = new LabCluster('fails', { managers: 3, workers: 0 })
await cluster.up()
t.teardown(() => cluster.down())

/** What a machine may take that has nothing else to do, so many times as long when it has; the benchmark says what it does. */
const acceptedWithinMs = 15_000
const steppedDownWithinMs = 10_000
const gapMaxMs = 5_000

/** The result, and how busy the machine was meanwhile. */
async function underLoad<T>(act: () => Promise<T>): Promise<readonly [T, number]> {
  const meter = new LoadMeter()
  const result = await act().finally(() => meter.stop())
  return [result, meter.mean]
}

for (const fault of faults) {
  t.test(`leader ${fault.what}: another one leads, nothing acknowledged is lost`, async (t) => {
    const before = await leaderOf(cluster)
    // Throws when a write that was acknowledged is missing, or there twice.
    const [tried, load] = await underLoad(() => failOver(cluster, fault))
    t.comment(`${JSON.stringify(tried)} at load ${load.toFixed(1)}`)
    t.ok(tried.acknowledged > 50, `${tried.acknowledged} writes`)
    t.ok(tried.acceptedMs < acceptedWithinMs * load, `accepted again after ${tried.acceptedMs} ms`)
    if (fault.oldLeader === 'killed') return
    const { steppedDownMs = Number.NaN } = tried
    const isInTime = steppedDownMs < steppedDownWithinMs * load
    t.ok(isInTime, `stepped down by itself in ${steppedDownMs} ms`)
    t.not(await leaderOf(cluster), before)
  })
}

t.test(
  'under a new leader a service on a network can grow, though nothing else changed',
  async (t) => {
    const { lab } = cluster
    const gone = await leaderOf(cluster)
    const [host = ''] = ['m1', 'm2', 'm3'].filter((one) => one !== gone)
    const place = ['--constraint', `node.hostname==${host}`]
    await lab.cli(host, 'network', 'create', 'back')
    const flags = ['--quiet', '--name', 'grows', '--network', 'back', ...place]
    await lab.cli(host, 'service', 'create', ...flags, 'lab/hello')
    await cluster.kill(gone)
    await lab.until('another one leads', async () => (await lab.leader(host)) !== gone)
    await lab.cli(host, 'service', 'scale', '--detach', 'grows=2')
    t.equal((await lab.untilRunning(host, 'grows', 2)).length, 2)
    await cluster.restart(gone)
    await lab.cli(host, 'service', 'rm', 'grows')
  },
)

interface Event {
  readonly note?: string
  readonly why?: string
  readonly msg?: string
  readonly outcome?: string
}

function events(host: string): readonly Event[] {
  return cluster.lab.log(host).map((line) => JSON.parse(line) as Event)
}

/** Why the present leader campaigned: `transfer` when the last one asked it to, `timeout` when it was missed. */
function whyElected(host: string): string {
  return events(host).findLast(({ note }) => note === 'campaigning')?.why ?? ''
}

const all = ['m1', 'm2', 'm3']

/** Makes the leader go under writes of the others; answers with who went and who leads now. */
async function makeGo(
  t: Test,
  hosts: readonly string[],
  go: (leader: string, other: string) => Promise<void>,
): Promise<{ readonly gone: string; readonly next: string; readonly left: readonly string[] }> {
  const gone = await leaderAmong(hosts)
  const left = hosts.filter((host) => host !== gone)
  const [first = ''] = left
  const load = new WriteLoad()
  const writing = cluster.onHost(first, async (client) => {
    load.keepWriting([client])
    try {
      await cluster.lab.until('writes go through', async () => load.acknowledged.length > 20)
      await go(gone, first)
      const next = await leaderAmong(left)
      const reached = load.acknowledged.length + 20
      await cluster.lab.until('and go on', async () => load.acknowledged.length > reached)
      await load.stop()
      await load.checkNoneLost(client)
      await removeWrites(client)
      return next
    } finally {
      await load.stop()
    }
  })
  const [next, busy] = await underLoad(() => writing)
  t.comment(`${load.acknowledged.length} writes, none for ${load.longestGapMs} ms at most`)
  t.ok(load.longestGapMs < gapMaxMs * busy, `no write for ${load.longestGapMs} ms`)
  t.equal(whyElected(next), 'transfer', `${next} was asked to lead, no time-out had to pass`)
  return { gone, next, left }
}

/** The host that leads, by what the hosts themselves say. */
async function leaderAmong(hosts: readonly string[]): Promise<string> {
  return await cluster.lab.until(`one of ${hosts} leads`, async () => {
    for (const host of hosts)
      if (await cluster.onHost(host, (client) => client.leads())) return host
    return undefined
  })
}

async function untilManagers(host: string, count: number): Promise<void> {
  await cluster.lab.until(`${count} managers are reachable`, async () => {
    const text = await cluster.lab.look(host, 'node', 'ls', '--format', '{{.ManagerStatus}}')
    const managers = text.split('\n').filter((status) => status !== '')
    return managers.length === count && managers.every((status) => status !== 'Unreachable')
  })
}

t.test('a leader that is stopped in order hands over first', async (t) => {
  const { gone, next } = await makeGo(t, all, (leader) => cluster.lab.stop(leader))
  await cluster.restart(gone)
  await untilManagers(next, 3)
})

t.test('a leader that is demoted hands over first', async (t) => {
  const { gone, next } = await makeGo(t, all, async (leader, other) => {
    await cluster.type(other, 'node', 'demote', leader)
    await untilManagers(other, 2)
  })
  const handedOver = events(gone).findLast(({ msg }) => msg?.startsWith('leadership handed over'))
  t.equal(handedOver?.outcome, 'done')
  await cluster.type(next, 'node', 'promote', gone)
  await untilManagers(next, 3)
})

t.test('a leader that is removed, and one that leaves, hand over first', async (t) => {
  const { gone, next, left } = await makeGo(t, all, async (leader, other) => {
    await cluster.type(other, 'node', 'demote', leader)
    await untilManagers(other, 2)
    await cluster.type(other, 'node', 'rm', '--force', leader)
  })
  const hosts = await cluster.lab.cli(next, 'node', 'ls', '--format', '{{.Hostname}}')
  t.notOk(hosts.split('\n').includes(gone), `${gone} is gone`)
  const last = await makeGo(t, left, async (leader, other) => {
    await cluster.type(leader, 'swarm', 'leave', '--force')
    await untilManagers(other, 1)
  })
  t.equal(last.gone, next)
})
