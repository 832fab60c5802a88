import t from 'tap'
import { containerLines } from '../../../../worker/network/desired-kernel.ts'
import { aNetworkState, anEndpoint } from '../../../support/network-builders.ts'

const inside = anEndpoint({
  address: '10.1.0.5',
  prefix: 24,
  overlay: {
    mtu: 1450,
    gateways: ['100.127.0.1', 'fd7f::1'],
    gatewayMac: '02:00:00:00:01:01',
    subnets: ['10.1.0.0/24', 'fd01::/64'],
    isInternal: true,
    address6: 'fd01::5/64',
  },
})

t.test(
  'a container of an internal network alone reaches its subnets, its resolver and its node',
  async (t) => {
    const lines = containerLines(inside, aNetworkState())
    const by = 'via 100.127.0.1 dev eth0 onlink src 10.1.0.5'
    t.same(
      lines.filter((line) => line.startsWith('route')),
      [
        `route replace 10.1.0.0/24 ${by}`,
        `route replace ${aNetworkState().transit} ${by}`,
        `route replace 127.0.0.11 ${by} table local`,
        'route replace fd01::/64 via fd7f::1 dev eth0 onlink src fd01::5',
      ],
    )
    t.notMatch(lines.join('\n'), /rule/, 'one interface needs no rules')
  },
)

t.test('a network beside others has its own table, and a rule of each family', async (t) => {
  const second = { ...inside, isSecondary: true, device: 'eth1' }
  const lines = containerLines(second, aNetworkState()).filter((line) => /10[01]$/.test(line))
  t.same(lines, [
    'route replace 10.1.0.0/24 via 100.127.0.1 dev eth1 onlink src 10.1.0.5 table 101',
    `route replace ${aNetworkState().transit} via 100.127.0.1 dev eth1 onlink src 10.1.0.5 table 101`,
    'rule add from 10.1.0.5 lookup 101',
    'route replace fd01::/64 via fd7f::1 dev eth1 onlink src fd01::5 table 101',
    '-6 rule add from fd01::5 lookup 101',
  ])
})
