import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { systemClock } from '../../../../../proto/lib/clock.ts'
import {
  followResolvConf,
  UpstreamList,
  upstreamsOf,
} from '../../../../../worker/network/dns/upstreams.ts'
import { until } from '../../../../support/until.ts'
import { VirtualClock } from '../../../../support/virtual-clock.ts'

const server = (address: string) => ({ address, port: 53 })
const [a, b, c] = [server('192.0.2.1'), server('192.0.2.2'), server('192.0.2.3')]

t.test('name servers are read from resolv.conf; what is no address is passed over', async (t) => {
  const text = 'search x\nnameserver 192.0.2.1\nnameserver nonsense\nnameserver fe80::1%eth0\n'
  t.same(upstreamsOf(text, 53), [a, server('fe80::1%eth0')])
  t.same(upstreamsOf('', 53), [])
})

t.test('who failed twice in a row is asked last for a while', async (t) => {
  const clock = new VirtualClock()
  const list = new UpstreamList(clock, [a, b, c])
  list.failed(a)
  t.same(list.inOrder(), [a, b, c])
  list.failed(a)
  t.same(list.inOrder(), [b, c, a])
  await clock.advance(15_000)
  t.same(list.inOrder(), [a, b, c])
  list.failed(a)
  t.same(list.inOrder(), [b, c, a])
  list.worked(a)
  t.same(list.inOrder(), [a, b, c])
})

t.test('three servers at most, and what is known of those that stay is kept', async (t) => {
  const list = new UpstreamList(new VirtualClock(), [a, b])
  for (const failing of [a, a, b, b]) list.failed(failing)
  list.set([b, c, server('192.0.2.4'), server('192.0.2.5')])
  t.same(list.inOrder(), [c, server('192.0.2.4'), b])
})

t.test('the file is followed, also when it is replaced or missing for a while', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tsswarm-resolv-'))
  const file = join(dir, 'resolv.conf')
  writeFileSync(file, 'nameserver 192.0.2.1\n')
  const upstreams = followResolvConf(file, 53, systemClock)
  t.teardown(() => {
    upstreams.close()
    rmSync(dir, { recursive: true })
  })
  t.same(upstreams.inOrder(), [a], 'it is read before anything can be asked')
  rmSync(file)
  writeFileSync(`${file}.new`, 'nameserver 192.0.2.2\nnameserver 192.0.2.3\n')
  renameSync(`${file}.new`, file)
  await until(() => upstreams.inOrder().length === 2, 'the new file is read')
  t.same(upstreams.inOrder(), [b, c])
})
