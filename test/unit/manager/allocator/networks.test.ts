// What a new network is given beside others: subnets, identifier; and what is refused.
import fc from 'fast-check'
import t from 'tap'
import { planNetwork, vniFirst } from '../../../../manager/allocator/network-plan.ts'
import { planSubnets } from '../../../../manager/allocator/subnets.ts'
import type { Network } from '../../../../proto/objects/index.ts'
import { clusterSpec } from '../../../../proto/spec/cluster-spec.ts'
import { type IpRange, parseIpRange, rangeHolds, rangesOverlap } from '../../../../proto/spec/ip.ts'
import { mtuOption, networkSpec } from '../../../../proto/spec/network-spec.ts'
import { aCluster, aNetwork } from '../../../support/objects.ts'

function plan(spec: object, others: readonly Network[] = [], version = 0, cluster = {}) {
  const object = { ...aCluster({}), spec: clusterSpec.parse(cluster) }
  return planNetwork(networkSpec.parse({ name: 'n', ...spec }), others, object, { version })
}

function refusal(spec: object, others: readonly Network[] = [], cluster = {}): string {
  const planned = plan(spec, others, 0, cluster)
  return planned.kind === 'ok' ? 'it is ok' : `${planned.field} ${planned.reason}`
}

t.test('no network meets what nodes have for themselves', async (t) => {
  const cluster = {
    ...aCluster({}),
    spec: clusterSpec.parse({ defaultAddressPools: ['172.30.0.0/15'] }),
  }
  const locals = [{ subnet: '172.30.0.0/16', node: 'worker-1' }]
  const made = (spec: object) =>
    planNetwork(networkSpec.parse({ name: 'n', ...spec }), [], cluster, { version: 0, locals })
  t.match(made({}), { subnets: [{ subnet: '172.31.0.0/24' }] })
  t.match(made({ subnets: [{ subnet: '172.30.4.0/24' }] }), {
    ...{ kind: 'refused', field: 'subnets[0].subnet' },
    reason:
      '("172.30.4.0/24") overlaps with 172.30.0.0/16 of the local network of node worker-1: choose another subnet, or none, ' +
      'or give that node another local subnet in the configuration of its daemon',
  })
})

t.test('networks get subnets of the pools one after another', async (t) => {
  const first = plan({})
  t.same(first, {
    kind: 'ok',
    vni: vniFirst,
    subnets: [{ subnet: '10.0.0.0/24', ipRange: '', gateway: '10.0.0.1' }],
  })
  const taken = [
    aNetwork({ id: 'a', subnets: ['10.0.0.0/24'] }),
    aNetwork({ id: 'b', subnets: ['10.0.2.0/23'] }),
  ]
  t.match(plan({}, taken), { subnets: [{ subnet: '10.0.1.0/24' }] })
  const more = [...taken, aNetwork({ id: 'c', subnets: ['10.0.1.0/24'] })]
  t.match(plan({}, more), { subnets: [{ subnet: '10.0.4.0/24' }] })
  t.match(plan({}, [aNetwork({ subnets: ['10.0.0.128/25'] })]), {
    subnets: [{ subnet: '10.0.1.0/24' }],
  })
})

t.test('a pool that is used up is left for the next, and the last is an error', async (t) => {
  const cluster = { defaultAddressPools: ['10.9.0.0/24', '10.8.0.0/24'], subnetSize: 25 }
  const taken = ['10.9.0.0/25', '10.9.0.128/25'].map((subnet) =>
    aNetwork({ id: subnet.replace('/', '_'), subnets: [subnet] }),
  )
  t.match(plan({}, taken, 0, cluster), { subnets: [{ subnet: '10.8.0.0/25' }] })
  const all = [
    ...taken,
    ...['10.8.0.0/25', '10.8.0.128/25'].map((subnet) =>
      aNetwork({ id: subnet.replace('/', '_'), subnets: [subnet] }),
    ),
  ]
  t.match(plan({}, all, 0, cluster), {
    kind: 'refused',
    code: 'RESOURCE_EXHAUSTED',
    reason:
      /every \/25 of the cluster's address pools \(10\.9\.0\.0\/24, 10\.8\.0\.0\/24\) is in use/,
  })
})

t.test('identifiers are not given again soon', async (t) => {
  t.match(plan({}, [], 17), { vni: vniFirst + 17 })
  t.match(plan({}, [aNetwork({ vni: vniFirst + 17 })], 17), { vni: vniFirst + 18 })
  t.match(plan({}, [], 2 ** 40), { kind: 'ok' })
})

t.test('own subnets are taken as they are', async (t) => {
  const subnets = [
    { subnet: '192.168.7.0/24', ipRange: '192.168.7.128/25', gateway: '192.168.7.254' },
  ]
  t.match(plan({ subnets }), { subnets })
  t.match(plan({ subnets: [{ subnet: 'fd00:7::/64' }] }), {
    subnets: [{ subnet: '10.0.0.0/24' }, { subnet: 'fd00:7::/64', gateway: 'fd00:7::1' }],
  })
  const dual = plan({ ipv6: true })
  t.ok(dual.kind === 'ok' && /^fd[0-9a-f]{2}:[0-9a-f:]+\/64$/.test(dual.subnets[1]?.subnet ?? ''))
  t.same(plan({ ipv6: true }), dual, 'the same in every process')
})

t.test('what cannot be is refused with field, reason and remedy', async (t) => {
  const others = [aNetwork({ name: 'back', subnets: ['10.5.0.0/16'] })]
  const one = (subnet: string, rest = {}) => ({ subnets: [{ subnet, ...rest }] })
  t.match(
    refusal(one('10.5.6.0/24'), others),
    /subnets\[0\]\.subnet .*overlaps with 10\.5\.0\.0\/16 of network "back"/,
  )
  t.match(refusal(one('10.4.0.0/14'), others), /overlaps with/)
  t.match(refusal(one('10.1.2.3/24')), /has host bits set: write 10\.1\.2\.0\/24/)
  t.match(refusal(one('10.1.2.0/31')), /prefix from 8 to 30/)
  t.match(refusal(one('8.0.0.0/6')), /prefix from 8 to 30/)
  t.match(refusal(one('127.1.0.0/16')), /it is the loopback/)
  t.match(refusal(one('100.127.4.0/24')), /transit/)
  t.match(refusal(one('fe80::/64')), /link-local/)
  t.match(
    refusal(one('10.1.0.0/24', { ipRange: '10.2.0.0/25' })),
    /subnets\[0\]\.ipRange .*is no part of 10\.1\.0\.0\/24/,
  )
  t.match(
    refusal(one('10.1.0.0/24', { gateway: '10.1.0.255' })),
    /subnets\[0\]\.gateway .*no address of a host/,
  )
  t.match(refusal(one('10.1.0.0/24', { gateway: 'fd00::1' })), /no address of a host/)
  t.match(
    refusal({ subnets: [{ subnet: '10.1.0.0/24' }, { subnet: '10.2.0.0/24' }] }),
    /second one of IPv4/,
  )
  t.match(refusal({ options: { encrypted: '' } }), /not available/)
  t.match(refusal({ options: { 'com.docker.x': '1' } }), /no option of the overlay driver/)
  t.match(refusal({ options: { [mtuOption]: '100' } }), /from 576 to 65000/)
  t.match(refusal({ ipv6: true, options: { [mtuOption]: '1200' } }), /from 1280/)
  t.equal(refusal({ options: { [mtuOption]: '1400' } }), 'it is ok')
})

t.test('there is one ingress network', async (t) => {
  const ingress = aNetwork({ name: 'ingress', isIngress: true })
  t.match(
    refusal({ isIngress: true }, [ingress]),
    /"ingress" is the ingress network.*network rm ingress/,
  )
  t.equal(refusal({ isIngress: true }, []), 'it is ok')
  t.match(refusal({ isIngress: true, isAttachable: true }), /isAttachable does not go/)
  t.match(refusal({ isIngress: true, isInternal: true }), /isInternal does not go/)
})

const range = (text: string): IpRange => parseIpRange(text) as IpRange

t.test('chosen subnets lie in a pool and meet no other network', async (t) => {
  const subnet = fc
    .record({ at: fc.nat(4095), prefix: fc.integer({ min: 20, max: 28 }) })
    .map(({ at, prefix }) => {
      const value =
        (10n << 24n) + (((BigInt(at) * 16n) >> BigInt(32 - prefix)) << BigInt(32 - prefix))
      return `10.0.${(value >> 8n) & 255n}.${value & 255n}/${prefix}`
    })
  const property = fc.property(
    fc.array(subnet, { maxLength: 30 }),
    fc.integer({ min: 16, max: 28 }),
    (used, size) => {
      const others = used.map((one, i) => aNetwork({ id: `n${i}`, subnets: [one] }))
      const pools = ['10.0.0.0/17', '10.0.128.0/17'].filter(() => size >= 17)
      const planned = planSubnets(networkSpec.parse({ name: 'x' }), others, { pools, size })
      const isFree = (candidate: IpRange) =>
        !used.some((one) => rangesOverlap(range(one), candidate))
      if (planned.kind === 'ok') {
        const chosen = range(planned.subnets[0]?.subnet ?? '')
        return (
          isFree(chosen) &&
          chosen.prefix === size &&
          pools.some((pool) => rangeHolds(range(pool), chosen))
        )
      }
      // Refused: then no subnet of that size is free in any pool.
      for (let at = 10n << 24n; at < (10n << 24n) + 65_536n; at += 1n << BigInt(32 - size)) {
        if (pools.length > 0 && isFree({ bits: 32, value: at, prefix: size })) return false
      }
      return true
    },
  )
  fc.assert(property, { numRuns: 200 })
  t.pass()
})

t.test('a network of the driver bridge gets subnets as others do, and no identifier', async (t) => {
  const driver = 'bridge'
  t.same(plan({ driver }, [aNetwork({ subnets: ['10.0.0.0/24'] })], 17), {
    kind: 'ok',
    vni: 0,
    subnets: [{ subnet: '10.0.1.0/24', ipRange: '', gateway: '10.0.1.1' }],
  })
  const near = aNetwork({ name: 'near', driver, subnets: ['10.5.0.0/16'] })
  t.match(plan({ driver, ipv6: true }, [near]), { vni: 0, subnets: [{}, { subnet: /^fd.*\/64$/ }] })
  t.match(plan({}, [near], 0), { vni: vniFirst })
  const overlapping = { subnets: [{ subnet: '10.5.6.0/24' }] }
  t.match(refusal(overlapping, [near]), /overlaps with 10\.5\.0\.0\/16 of network "near"/)
  t.equal(refusal({ driver, options: { [mtuOption]: '9000' } }), 'it is ok')
  t.equal(
    refusal({ driver, options: { encrypted: '' } }),
    'options ("encrypted") has no meaning on a bridge network: nothing of it leaves its node. Leave it out',
  )
  t.equal(
    refusal({ driver, options: { 'com.docker.network.bridge.name': 'br7' } }),
    `options ("com.docker.network.bridge.name") is no option of the bridge driver: it has ${mtuOption}`,
  )
  t.equal(
    refusal({ driver, isIngress: true }),
    'isIngress does not go with the driver bridge: the ingress network leads from node to node. Leave out the driver',
  )
  t.match(
    refusal({ driver: 'host' }),
    /^driver \("host"\) makes no further networks: .*--network host/,
  )
  t.match(refusal({ driver: 'macvlan' }), /is not known: write overlay or bridge, or leave it out/)
})
