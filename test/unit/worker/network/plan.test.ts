import fc from 'fast-check'
import t from 'tap'
import { desiredKernel } from '../../../../worker/network/desired-kernel.ts'
import { differenceText } from '../../../../worker/network/difference.ts'
import type { NetworkState } from '../../../../worker/network/network-state.ts'
import { planNetwork, type Step } from '../../../../worker/network/plan.ts'
import { aNetworkState, anEndpoint, aPort } from '../../../support/network-builders.ts'
import { link, SimulatedKernel } from '../../../support/simulated-kernel.ts'

const file = '/run/d.netns'

interface TextPlan {
  readonly steps: readonly Step[]
  readonly differences: readonly string[]
}

async function planOf(
  kernel: SimulatedKernel,
  state: NetworkState,
  shapes = kernel.shapes(),
): Promise<TextPlan> {
  const plan = planNetwork(desiredKernel(state, file), await kernel.observe(), shapes)
  return { steps: plan.steps, differences: plan.differences.map(differenceText) }
}

/** Plans and applies until nothing differs; answers with how many rounds that took. */
async function settle(kernel: SimulatedKernel, state: NetworkState): Promise<number> {
  for (let round = 0; round < 5; round++) {
    const plan = await planOf(kernel, state)
    if (plan.steps.length === 0) return round
    await kernel.apply(plan.steps)
  }
  throw new Error('does not settle')
}

const full = aNetworkState({
  endpoints: [
    anEndpoint({ ports: [aPort(), aPort({ protocol: 'udp', publishedPort: 53 })] }),
    anEndpoint({ containerId: 'c2', address: '172.30.0.2', link: 'v000000000002' }),
  ],
})

t.test(
  'an empty kernel is complete after one round, and a complete one needs nothing',
  async (t) => {
    const kernel = new SimulatedKernel()
    t.equal(await settle(kernel, full), 1)
    t.same(await planOf(kernel, full), { steps: [], differences: [] })
  },
)

t.test(
  'the data plane is ready before the host leads to it, and forwarding comes last',
  async (t) => {
    const kernel = new SimulatedKernel()
    const { steps } = await planOf(kernel, full)
    t.same(
      steps.map((step) => `${step.namespace} ${step.kind}`),
      [
        'dataPlane sysctl',
        'host ip',
        'dataPlane ip',
        'dataPlane table',
        'host table',
        'dataPlane sysctl',
        'host sysctl',
      ],
    )
    const last = steps.at(-1)
    t.ok(last?.kind === 'sysctl' && last.values.get('net/ipv4/ip_forward') === '1')
    const first = steps[0]
    t.ok(first?.kind === 'sysctl' && first.values.get('net/ipv4/conf/default/rp_filter') === '1')
  },
)

t.test('one lost route is one line, named in the differences', async (t) => {
  const kernel = new SimulatedKernel()
  await settle(kernel, full)
  await kernel.ip('dataPlane', ['route del 172.30.0.2'])
  t.same(await planOf(kernel, full), {
    steps: [
      {
        kind: 'ip',
        namespace: 'dataPlane',
        lines: ['route replace 172.30.0.2 dev v000000000002'],
      },
    ],
    differences: ['data plane: route 172.30.0.2 is missing'],
  })
})

t.test('a wrong field is named with both values', async (t) => {
  const kernel = new SimulatedKernel()
  await settle(kernel, full)
  await kernel.ip('host', ['link set dp0 mtu 1400 up'])
  t.same((await planOf(kernel, full)).differences, [
    'host: link dp0 has mtu "1400" instead of "1500"',
  ])
  await kernel.ip('host', ['link set dp0 mtu 1500 up'])
  kernel.state.dataPlane.sysctls.delete('net/ipv4/conf/up0/rp_filter')
  t.same((await planOf(kernel, full)).differences, [
    'data plane: net/ipv4/conf/up0/rp_filter is missing instead of 1',
  ])
})

t.test('what belongs to nobody is removed, but for devices the kernel makes itself', async (t) => {
  const kernel = new SimulatedKernel()
  await settle(kernel, full)
  kernel.state.dataPlane.items.push(
    link('v00000000dead', 'veth', 'up'),
    link('sit0', 'sit', 'down'),
    { kind: 'address', key: 'up0 10.0.0.1/24', identity: '', fields: {} },
    { kind: 'neighbour', key: 'up0 10.0.0.2', identity: '', fields: {} },
    { kind: 'route', key: '10.9.0.0/16', identity: '', fields: { type: 'blackhole' } },
    { kind: 'route', key: '10.8.0.0/16 metric 5', identity: '', fields: { type: 'unicast' } },
  )
  const { steps } = await planOf(kernel, full)
  t.same(steps, [
    {
      kind: 'ip',
      namespace: 'dataPlane',
      lines: [
        'neigh del 10.0.0.2 dev up0',
        'route del 10.8.0.0/16 metric 5',
        'route del blackhole 10.9.0.0/16',
        'addr del 10.0.0.1/24 dev up0',
        'link del v00000000dead',
      ],
    },
  ])
})

t.test('a link whose other end is gone is made anew', async (t) => {
  const kernel = new SimulatedKernel()
  await settle(kernel, full)
  const items = kernel.state.host.items
  const at = items.findIndex((item) => item.kind === 'link' && item.key === 'dp0')
  items[at] = link('dp0', 'veth without its other end', 'up')
  const plan = await planOf(kernel, full)
  t.match(plan.differences[0], 'host: link dp0 is veth without its other end')
  const removal = plan.steps.find((step) => step.namespace === 'host' && step.kind === 'ip')
  t.same(removal, { kind: 'ip', namespace: 'host', lines: ['link del dp0'] })
  t.ok((await settle(kernel, full)) <= 2)
})

t.test('elements change alone, rules only with the whole table', async (t) => {
  const kernel = new SimulatedKernel()
  await settle(kernel, full)
  const elements = kernel.state.host.table?.elements.get('published')
  elements?.splice(0, 1, 'tcp . 9999')
  t.same((await planOf(kernel, full)).steps, [
    {
      kind: 'elements',
      namespace: 'host',
      commands: [
        'delete element inet tsswarm published { tcp . 9999 }',
        'add element inet tsswarm published { tcp . 8080 }',
      ],
    },
  ])
  await settle(kernel, full)
  if (kernel.state.host.table !== undefined) kernel.state.host.table.shape = 'touched'
  const { steps, differences } = await planOf(kernel, full)
  t.same(
    steps.map((step) => step.kind),
    ['table'],
  )
  t.same(differences, ['host: nft table inet tsswarm has other rules than ours'])
})

t.test('rules that change with the state replace the table', async (t) => {
  const kernel = new SimulatedKernel()
  await settle(kernel, full)
  const { steps, differences } = await planOf(kernel, { ...full, forwardingIsOurs: true })
  t.same(
    steps.map(({ kind, namespace }) => [kind, namespace]),
    [['table', 'host']],
  )
  t.same(differences, ['host: nft table inet tsswarm has the rules of an earlier state'])
})

t.test('a table found at the start is of unknown origin and replaced', async (t) => {
  const kernel = new SimulatedKernel()
  await settle(kernel, full)
  const plan = await planOf(kernel, full, { host: undefined, dataPlane: undefined })
  t.same(plan.differences, [
    'host: nft table inet tsswarm is of unknown origin',
    'data plane: nft table inet tsswarm is of unknown origin',
  ])
})

t.test('whatever is damaged, three rounds mend it', async (t) => {
  const damage = fc.record({
    namespace: fc.constantFrom('host' as const, 'dataPlane' as const),
    what: fc.constantFrom('item', 'sysctl', 'element', 'table', 'link'),
    at: fc.nat(1_000),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { maxLength: 12 }), async (damages) => {
      const kernel = new SimulatedKernel()
      await settle(kernel, full)
      for (const each of damages) await damageOne(kernel, each)
      t.ok((await settle(kernel, full)) <= 3)
      t.same((await planOf(kernel, full)).steps, [])
    }),
    { numRuns: 200 },
  )
})

interface Damage {
  readonly namespace: 'host' | 'dataPlane'
  readonly what: string
  readonly at: number
}

async function damageOne(kernel: SimulatedKernel, { namespace, what, at }: Damage): Promise<void> {
  const space = kernel.state[namespace]
  const item = space.items[at % Math.max(space.items.length, 1)]
  const path = [...space.sysctls.keys()][at % Math.max(space.sysctls.size, 1)]
  if (what === 'item' && item !== undefined && item.kind !== 'link') {
    space.items = space.items.filter((other) => other !== item)
  }
  if (what === 'link' && item?.kind === 'link' && item.key !== 'lo') {
    await kernel.ip(namespace, [`link del ${item.key}`])
  }
  if (what === 'sysctl' && path !== undefined) space.sysctls.set(path, '7')
  if (what === 'table') space.table = undefined
  if (what === 'element') for (const set of space.table?.elements.values() ?? []) set.pop()
}
