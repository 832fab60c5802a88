import t from 'tap'
import { canonicalSource, isLoopbackSource } from '../../../../worker/network/address-text.ts'

t.test('sources are written as nft lists them', async (t) => {
  const forms: readonly (readonly [string, string])[] = [
    ['10.0.0.5/8', '10.0.0.0/8'],
    ['192.168.1.5/32', '192.168.1.5'],
    ['192.168.1.5', '192.168.1.5'],
    ['FD00:0:0::1', 'fd00::1'],
    ['fd00:0:0:0::/64', 'fd00::/64'],
    ['fd00::1/128', 'fd00::1'],
  ]
  for (const [written, listed] of forms) t.equal(canonicalSource(written), listed)
})

t.test('loopback is in what covers it', async (t) => {
  for (const text of ['127.0.0.1', '127.0.0.0/8', '::1', '::1/128']) t.ok(isLoopbackSource(text))
  for (const text of ['10.0.0.0/8', '127.0.0.2', 'fd00::/8']) t.notOk(isLoopbackSource(text))
})
