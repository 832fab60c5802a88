import { statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../../../../proto/lib/clock.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { openJournal } from '../../../../worker/network/journal.ts'
import { audit, type MendDeps, mend, mendPatiently } from '../../../../worker/network/mend.ts'
import { anEndpoint } from '../../../support/network-builders.ts'
import { aKeeper } from '../../../support/overlay-builders.ts'
import { link, SimulatedKernel } from '../../../support/simulated-kernel.ts'

interface Deps extends MendDeps {
  readonly kernel: SimulatedKernel
}

function aNode(t: Test): Deps {
  const journal = openJournal(join(t.testdir(), 'journal.jsonl'))
  const transit = '100.127.255.254'
  const subnet = '172.30.0.0/16'
  journal.append({ kind: 'opened', bootId: 'b', subnet, transit, mac: '02:00:00:00:00:ff' })
  const kernel = new SimulatedKernel()
  const overlay = aKeeper(t, kernel)
  const dataPlaneFile = '/run/d.netns'
  return { kernel, journal, dataPlaneFile, log: silentLogger, overlay, vxlanPort: 4789 }
}

const living = { path: '/proc/self/ns/net', inode: statSync('/proc/self/ns/net').ino }

t.test('a new node is brought up, and a second look finds nothing', async (t) => {
  const deps = aNode(t)
  const { found, left } = await mend(deps)
  t.ok(found.includes('host: link dp0 is missing'))
  t.same(left, [])
  t.same(await mend(deps), { found: [], left: [], differences: [] })
  t.same(await audit(deps), [])
})

t.test('forwarding that was off is ours from then on', async (t) => {
  const deps = aNode(t)
  await mend(deps)
  t.equal(deps.journal.record?.forwardingIsOurs, true)
  const other = aNode(t)
  other.kernel.state.host.sysctls.set('net/ipv4/ip_forward', '1')
  await mend(other)
  t.equal(other.journal.record?.forwardingIsOurs, false)
})

t.test('a living container whose veth is gone gets a new one, inside and out', async (t) => {
  const deps = aNode(t)
  deps.journal.append({ kind: 'attached', endpoint: anEndpoint({ netns: living }) })
  t.same((await mend(deps)).left, [])
  t.ok(deps.kernel.written.some((line) => line.startsWith('/proc/self/ns/net: ip addr replace')))
  deps.kernel.written.length = 0
  await mend(deps)
  t.notOk(
    deps.kernel.written.some((line) => line.startsWith('/proc/self')),
    'only once',
  )
})

t.test('a container that has ended is not waited for', async (t) => {
  const deps = aNode(t)
  deps.journal.append({
    kind: 'attached',
    endpoint: anEndpoint({ netns: { ...living, inode: 1 } }),
  })
  deps.journal.append({
    kind: 'attached',
    endpoint: anEndpoint({
      containerId: 'c2',
      address: '172.30.0.2',
      netns: { path: '/proc/0/ns/net', inode: 1 },
    }),
  })
  t.same((await mend(deps)).left, [])
  t.notOk(deps.kernel.state.dataPlane.items.some(({ key }) => key === 'v000000000001'))
})

t.test('what cannot be mended is told with the reason', async (t) => {
  const deps = aNode(t)
  deps.kernel.failing.push('route replace default')
  const { left } = await mend(deps)
  t.match(left, [
    'data plane: route default is missing',
    /route replace default via 169\.254\.77\.1 dev up0: failed/,
  ])
})

t.test('a start waits for what the kernel is just taking apart, and not for ever', async (t) => {
  const deps = aNode(t)
  deps.kernel.failing.push('route replace default')
  const waits: number[] = []
  const clock: Clock = {
    ...systemClock,
    setTimer: (ms, fn) => {
      waits.push(ms)
      if (waits.length === 2) deps.kernel.failing.length = 0
      return systemClock.setTimer(0, fn)
    },
  }
  t.same((await mendPatiently(deps, clock)).left, [])
  t.same(waits, [200, 800])
  t.same((await mendPatiently(deps, clock)).left, [])
  t.equal(waits.length, 2, 'what is well is not waited for')
  const other = aNode(t)
  other.kernel.failing.push('route replace default')
  t.match((await mendPatiently(other, clock)).left, ['data plane: route default is missing'])
})

t.test('a device of somebody else under our name is refused', async (t) => {
  const deps = aNode(t)
  deps.kernel.state.host.items.push(link('dp0', 'bridge', 'up'))
  await t.rejects(mend(deps), { code: 'FAILED_PRECONDITION', message: /"dp0" \(bridge\)/ })
})

t.test('a firewall in the way is audited and opened', async (t) => {
  const deps = aNode(t)
  const chain = { family: 'inet', table: 'fw', name: 'c', type: 'filter', hook: 'forward' }
  const stdout = JSON.stringify({ nftables: [{ chain: { ...chain, policy: 'drop' } }] })
  deps.kernel.answers.set('nft -j list chains', { code: 0, stdout, stderr: '' })
  t.ok(
    (await audit(deps)).includes(
      'nft chain inet fw c drops forwarded packets: containers are cut off',
    ),
  )
  const { found } = await mend(deps)
  t.match(found.at(-1), /nft chain inet fw c drops forwarded packets: it is open/)
})
