import t from 'tap'
import { ownersCommand, parseSockets } from '../../../../worker/network/listening-sockets.ts'

t.test('what ss lists is understood, of both families', async (t) => {
  // As ss of iproute2 6.1 prints them.
  const text = `udp UNCONN 0      0        0.0.0.0:4789 0.0.0.0:*
tcp LISTEN 0      5        0.0.0.0:8085 0.0.0.0:* users:(("socat",pid=5919,fd=5))
tcp LISTEN 0      5      127.0.0.53%lo:53 0.0.0.0:*
tcp LISTEN 0      5              *:8083       *:* users:(("nginx: m",pid=20,fd=5),("nginx",pid=7,fd=5))
tcp LISTEN 0      5           [::]:8082    [::]:*
tcp LISTEN 0      5          [::1]:631     [::]:*
tcp LISTEN 0      5      [::ffff:10.0.0.5]:80 *:*
sctp LISTEN 0     5        10.0.0.5:90 0.0.0.0:*
`
  t.strictSame(parseSockets(text), [
    { protocol: 'udp', port: 4789, address: '0.0.0.0' },
    { protocol: 'tcp', port: 8085, address: '0.0.0.0', process: { name: 'socat', pid: 5919 } },
    { protocol: 'tcp', port: 53, address: '127.0.0.53' },
    { protocol: 'tcp', port: 8083, address: undefined, process: { name: 'nginx', pid: 7 } },
    { protocol: 'tcp', port: 8082, address: '::' },
    { protocol: 'tcp', port: 631, address: '::1' },
    { protocol: 'tcp', port: 80, address: '10.0.0.5' },
    { protocol: 'sctp', port: 90, address: '10.0.0.5' },
  ])
})

t.test('other lines are left out', async (t) => {
  t.strictSame(parseSockets(''), [])
  t.strictSame(parseSockets('u_str LISTEN 0 5 /run/x 123 * 0\ntcp LISTEN\ntcp LISTEN 0 5 x y'), [])
})

t.test('owners are asked of some ports only', async (t) => {
  const argv = ownersCommand([80, 443])
  t.equal(argv.at(-1), 'sport = :80 or sport = :443')
  t.ok(argv.includes('-p'))
})
