import t from 'tap'
import { containerResolver } from '../../../../worker/network/resolver.ts'

t.test('name servers of the host are passed on with its search domains', async (t) => {
  const host =
    '# made by hand\nsearch a.example b.example # home\nnameserver 192.0.2.53\nnameserver 9.9.9.9\n'
  t.same(containerResolver(host, ''), {
    nameservers: ['192.0.2.53', '9.9.9.9'],
    search: ['a.example', 'b.example'],
  })
})

t.test('loopback and IPv6 servers cannot be reached from a container', async (t) => {
  const host = 'nameserver 127.0.0.1\nnameserver fd00::53\nnameserver 192.0.2.53\n'
  t.same(containerResolver(host, '').nameservers, ['192.0.2.53'])
})

t.test('behind a loopback resolver its own upstream servers are taken', async (t) => {
  const host = 'nameserver 127.0.0.53\noptions edns0\nsearch .\n'
  const upstream = 'nameserver 192.0.2.1\nnameserver 127.0.0.1\nsearch other\n'
  t.same(containerResolver(host, upstream), { nameservers: ['192.0.2.1'], search: [] })
  t.same(containerResolver(host, ''), { nameservers: [], search: [] })
})

t.test('the last of search and domain counts', async (t) => {
  t.same(containerResolver('search a b\ndomain c\nnameserver 1.1.1.1', '').search, ['c'])
})
