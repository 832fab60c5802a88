import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { askerUpstreams } from '../../../../../worker/network/dns/asker-upstreams.ts'
import { UpstreamList } from '../../../../../worker/network/dns/upstreams.ts'
import { VirtualClock } from '../../../../support/virtual-clock.ts'

const server = (address: string) => ({ address, port: 53 })
const clock = new VirtualClock()
const host = new UpstreamList(clock, [server('192.0.2.1')])

t.test(
  'an asker with servers of its own has those asked, from when they are written',
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'tsswarm-askers-'))
    t.teardown(() => rmSync(dir, { recursive: true }))
    const of = askerUpstreams({ dir, host, port: 53, clock })
    const asker = '10.0.1.11'
    t.equal(of(asker), host)
    writeFileSync(join(dir, asker), 'nameserver 192.0.2.7\nnameserver 192.0.2.8\n')
    const own = of(asker)
    t.same(own.inOrder(), [server('192.0.2.7'), server('192.0.2.8')])
    t.equal(of('10.0.1.12'), host, 'nobody else')
    t.equal(of('../10.0.1.11'), host, 'what is no address is no file')

    for (let time = 0; time < 2; time++) own.failed(server('192.0.2.7'))
    t.same(of(asker).inOrder()[0], server('192.0.2.8'), 'how well they answer is remembered')

    writeFileSync(join(dir, asker), 'nameserver 192.0.2.9\n')
    t.same(of(asker).inOrder(), [server('192.0.2.9')])
    rmSync(join(dir, asker))
    t.equal(of(asker), host)
  },
)

t.test('without a folder all have the servers of the host', async (t) => {
  const of = askerUpstreams({ dir: undefined, host, port: 53, clock })
  t.equal(of('10.0.1.11'), host)
})
