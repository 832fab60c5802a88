import t from 'tap'
import { parseNetworkSpec } from '../../../../proto/codec/network.ts'
import { clusterSpec } from '../../../../proto/spec/cluster-spec.ts'
import {
  mtuOf,
  mtuOption,
  networkDrivers,
  networkSpec,
  scopeOf,
} from '../../../../proto/spec/network-spec.ts'
import { parseSpec } from '../../../../proto/spec/parse-spec.ts'

const read = (spec: object) => parseSpec(networkSpec, spec, 'network "n"')

t.test('a name is enough', async (t) => {
  t.match(read({ name: 'back_end.1' }), {
    driver: 'overlay',
    subnets: [],
    ipv6: false,
    isInternal: false,
    isAttachable: false,
    isIngress: false,
  })
})

t.test('what is not valid is refused by field, reason and remedy', async (t) => {
  const refused: readonly (readonly [object, RegExp])[] = [
    [{ name: '-x' }, /name.*begin with a letter or digit/],
    [{ name: 'n', subnets: [{ subnet: '10.0.0.0' }] }, /subnets\[0\]\.subnet/],
    [{ name: 'n', subnets: [{ subnet: '10.0.0.0/33' }] }, /subnets\[0\]\.subnet/],
    [{ name: 'n', subnets: [{ subnet: '10.0.0.0/24', gateway: '10.0.0' }] }, /gateway/],
    [{ name: 'n', subnets: [{}, {}, {}] }, /at most one of IPv4 and one of IPv6/],
  ]
  for (const [spec, message] of refused) t.throws(() => read(spec), { message })
  t.throws(() => parseNetworkSpec(undefined), { code: 'INVALID_ARGUMENT' })
})

t.test('the MTU is an option of the driver', async (t) => {
  t.equal(mtuOf(read({ name: 'n' })), 1450)
  t.equal(mtuOf(read({ name: 'n', options: { [mtuOption]: '1300' } })), 1300)
  t.equal(mtuOf(read({ name: 'n', driver: 'bridge' })), 1500, 'nothing is put around packets')
  t.equal(mtuOf(read({ name: 'n', driver: 'bridge', options: { [mtuOption]: '9000' } })), 9000)
})

t.test('of the networks that can be made, those of the driver bridge are local', async (t) => {
  const scopes = networkDrivers.map((driver) => [driver, scopeOf(read({ name: 'n', driver }))])
  t.same(scopes, [
    ['overlay', 'swarm'],
    ['bridge', 'local'],
  ])
})

t.test("the cluster's pools are IPv4 subnets that do not overlap", async (t) => {
  const spec = clusterSpec.parse({})
  t.same(spec.defaultAddressPools, ['10.0.0.0/8'])
  t.match(spec, { subnetSize: 24, dataPathPort: 4789 })
  for (const pools of [[], ['10.0.0.0'], ['fd00::/48'], ['10.0.0.0/8', '10.1.0.0/16']]) {
    t.throws(() => clusterSpec.parse({ defaultAddressPools: pools }), `${pools}`)
  }
  t.throws(() => clusterSpec.parse({ dataPathPort: 1023 }))
  t.throws(() => clusterSpec.parse({ subnetSize: 30 }))
})
