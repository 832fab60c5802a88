import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../../proto/lib/log.ts'
import type { NetworkView, NodePath } from '../../../../proto/objects/overlay.ts'
import { type Journal, openJournal } from '../../../../worker/network/journal.ts'
import { audit, type MendDeps, mend } from '../../../../worker/network/mend.ts'
import type { OverlayKeeper } from '../../../../worker/network/overlay-keeper.ts'
import { anEndpoint } from '../../../support/network-builders.ts'
import {
  aKeeper,
  aNetwork,
  anIngressPort,
  anOverlay,
  aPath,
  aServiceEndpoint,
  aTaskEndpoint,
  aView,
} from '../../../support/overlay-builders.ts'
import { SimulatedKernel } from '../../../support/simulated-kernel.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const stamp = { epoch: 1, index: 1 }

interface Node extends MendDeps {
  readonly kernel: SimulatedKernel
  readonly overlay: OverlayKeeper
  readonly journal: Journal
}

function aNode(t: Test, clock?: VirtualClock): Node {
  const dir = t.testdir()
  const journal = openJournal(join(dir, 'journal.jsonl'))
  const transit = '100.127.255.254'
  const subnet = '172.30.0.0/16'
  journal.append({ kind: 'opened', bootId: 'b', subnet, transit, mac: '02:00:00:00:00:ff' })
  const kernel = new SimulatedKernel()
  const overlay = aKeeper(t, kernel, clock)
  return {
    kernel,
    journal,
    overlay,
    ...{ dataPlaneFile: '/run/d.netns', log: silentLogger, vxlanPort: 4789 },
  }
}

/** An interface of a container of this node on network 1 and so on; the container counts as ended. */
function onNetwork(number: number, address: string): ReturnType<typeof anEndpoint> {
  return anEndpoint({
    containerId: `c${number}`,
    networkId: `net${number}`,
    address,
    prefix: 24,
    link: `v00000000000${number}`,
    netns: { path: '/proc/0/ns/net', inode: 1 },
    overlay: {
      mtu: 1450,
      gateways: ['100.127.0.1'],
      gatewayMac: '02:00:00:00:01:01',
      subnets: [`10.${number}.0.0/24`],
      isInternal: false,
    },
  })
}

const web = aServiceEndpoint('web', { vips: ['10.1.0.2'] })
const two = [aTaskEndpoint('web.1', 2, ['10.1.0.11']), aTaskEndpoint('web.2', 3, ['10.1.0.12'])]
const aState = (tasks = two, more: Partial<NetworkView> = {}): ReturnType<typeof anOverlay> =>
  anOverlay([aView(aNetwork(1), { services: [web], tasks, ...more })])

/** A node with a container on network 1, whose kernel holds `aState`. */
async function aSettledNode(t: Test, clock?: VirtualClock): Promise<Node> {
  const node = aNode(t, clock)
  node.journal.append({ kind: 'attached', endpoint: onNetwork(1, '10.1.0.10') })
  node.overlay.set(aState(), stamp)
  t.equal(await node.overlay.flush(node.journal), 'compare', 'at first all is compared')
  t.same((await mend(node)).left, [])
  node.kernel.written.length = 0
  return node
}

/** What is written but for reading. */
const changes = ({ kernel }: Node): readonly string[] =>
  kernel.written.filter(
    (line) => !line.includes(': run nft') && !/^device (comes|went): /.test(line),
  )

t.test(
  'one task that stops serving is one transaction, and its flows of UDP are forgotten',
  async (t) => {
    const node = await aSettledNode(t)
    const [first = two[0]] = two
    if (first === undefined) throw new Error('no task')
    node.overlay.set(
      aState([first, { ...aTaskEndpoint('web.2', 3, ['10.1.0.12']), isServing: false }]),
      stamp,
    )
    t.equal(await node.overlay.flush(node.journal), 'done')
    t.same(changes(node).slice(0, 2), [
      'dataPlane: nft flush chain inet tsswarm svc4_1048577_web',
      'dataPlane: nft add rule inet tsswarm svc4_1048577_web meta l4proto { tcp, udp, sctp } dnat ip to 10.1.0.11',
    ])
    t.match(changes(node)[2], /^dataPlane: run sh -c [\s\S]*conntrack [\s\S]* -D .* 10\.1\.0\.12$/)
    t.equal(changes(node).length, 3)
    t.same(await audit(node), [])
  },
)

t.test('what is needed is what was compiled last', async (t) => {
  const node = await aSettledNode(t)
  const vip = 'element vips 10.1.0.2 : jump svc4_1048577_web'
  t.ok(node.overlay.needs('route 10.1.0.12'))
  t.ok(node.overlay.needs(vip))
  t.notOk(node.overlay.needs('route 10.1.0.99'))
  node.overlay.set(aState(two.slice(0, 1)), stamp)
  await node.overlay.flush(node.journal)
  t.notOk(node.overlay.needs('route 10.1.0.12'), 'its task is gone')
  t.ok(node.overlay.needs(vip))
})

t.test('connections that a task does not answer are led anew a moment after it left', async (t) => {
  const clock = new VirtualClock()
  const node = await aSettledNode(t, clock)
  const halfOpen = (): readonly string[] =>
    changes(node).filter((line) => line.includes('SYN_SENT'))
  const [first, second] = two
  if (first === undefined || second === undefined) throw new Error('no task')
  const stdout = ['10.1.0.11', '10.1.0.12']
    .map(
      (task) =>
        `tcp 6 9 SYN_SENT src=10.1.0.9 dst=10.1.0.2 sport=5 dport=6 src=${task} dst=10.1.0.9`,
    )
    .join('\n')
  node.kernel.answers.set('sh -c families=$1;', { code: 0, stdout, stderr: '' })
  node.overlay.set(aState([first, { ...second, isServing: false }]), stamp)
  t.equal(await node.overlay.flush(node.journal), 'done')
  t.same(halfOpen(), [], 'who lives may be about to answer')
  await clock.advance(200)
  node.overlay.set(aState([{ ...first, isServing: false }]), stamp)
  t.equal(await node.overlay.flush(node.journal), 'done')
  await clock.advance(50)
  t.equal(halfOpen().length, 1, 'all that left meanwhile at once')
  t.match(halfOpen()[0], /SYN_SENT -f ipv4 --reply-src 10\.1\.0\.12 .*10\.1\.0\.11$/)
  await clock.advance(1_000)
  t.equal(halfOpen().length, 1)
  node.overlay.set(aState([]), stamp)
  await node.overlay.flush(node.journal)
  node.overlay.close()
  await clock.advance(1_000)
  t.equal(halfOpen().length, 1)
})

t.test('a new task has its route before it gets traffic, a gone one loses it after', async (t) => {
  const node = await aSettledNode(t)
  const [first] = two
  if (first === undefined) throw new Error('no task')
  node.overlay.set(aState([first, aTaskEndpoint('web.3', 2, ['10.1.0.13'])]), stamp)
  await node.overlay.flush(node.journal)
  const written = changes(node)
  const at = (part: string): number => written.findIndex((line) => line.includes(part))
  t.ok(at('ip route replace 10.1.0.13 via 100.127.0.2') >= 0)
  t.ok(at('ip route replace 10.1.0.13') < at('nft flush chain'))
  t.ok(at('nft add rule') < at('ip route del 10.1.0.12'))
  t.ok(at('ip fdb del 02:00:00:00:01:03 dev vx100001') > 0, 'no task is left on node 3')
  t.same(await audit(node), [])
})

t.test('what is told again in other objects costs nothing', async (t) => {
  const node = await aSettledNode(t)
  node.overlay.set(structuredClone(aState()), stamp)
  t.equal(await node.overlay.flush(node.journal), 'done')
  t.same(node.kernel.written, [])
})

t.test(
  'an old route to another node never takes the place of a container of this one',
  async (t) => {
    const node = await aSettledNode(t)
    node.journal.append({
      kind: 'attached',
      endpoint: { ...onNetwork(1, '10.1.0.12'), containerId: 'c9' },
    })
    const [first] = two
    if (first === undefined) throw new Error('no task')
    node.overlay.set(aState([first]), stamp)
    await node.overlay.flush(node.journal)
    t.notOk(changes(node).some((line) => line.includes('route del 10.1.0.12')))
  },
)

t.test('a comparison that was faster than the change forgets flows too', async (t) => {
  const node = await aSettledNode(t)
  const flow = (to: string, by: string): string =>
    `udp      17 28 src=10.1.0.10 dst=${to} sport=4000 dport=7 src=${by} dst=10.1.0.10 sport=7 dport=4000 mark=0 use=1`
  const listing = [flow('10.1.0.2', '10.1.0.11'), flow('10.1.0.2', '10.1.0.12')].join('\n')
  const answer = { code: 0, stdout: listing, stderr: '' }
  node.kernel.answers.set('sh -c conntrack -L', answer)
  const [first] = two
  if (first === undefined) throw new Error('no task')
  node.overlay.set(aState([first]), stamp)
  t.same((await mend(node)).left, [])
  const forgotten = changes(node).filter((line) => line.includes('conntrack -R'))
  t.equal(forgotten.length, 1)
  t.match(forgotten[0], /--orig-dst 10\.1\.0\.2 --reply-src 10\.1\.0\.12$/)
  node.kernel.written.length = 0
  t.equal(await node.overlay.flush(node.journal), 'done')
  await mend(node)
  t.notOk(
    node.kernel.written.some((line) => line.includes('conntrack')),
    'what the kernel is known to hold is not looked through again',
  )
})

t.test('calls in a burst are written together', async (t) => {
  const node = await aSettledNode(t)
  const outcomes = [3, 4, 5, 6].map((number) => {
    node.overlay.set(aState([aTaskEndpoint(`web.${number}`, 2, [`10.1.0.1${number}`])]), stamp)
    return node.overlay.flush(node.journal)
  })
  t.same(await Promise.all(outcomes), ['done', 'done', 'done', 'done'])
  const flushes = changes(node).filter((line) => line.includes('nft flush chain'))
  t.equal(flushes.length, 1)
  t.ok(changes(node).some((line) => line.includes('route replace 10.1.0.16')))
  t.notOk(changes(node).some((line) => line.includes('route replace 10.1.0.13')))
})

t.test('a change that fails is left to the comparison', async (t) => {
  const node = await aSettledNode(t)
  node.kernel.failing.push('route replace 10.1.0.13')
  node.overlay.set(aState([aTaskEndpoint('web.3', 2, ['10.1.0.13'])]), stamp)
  t.equal(await node.overlay.flush(node.journal), 'compare')
  t.equal(await node.overlay.flush(node.journal), 'compare', 'until it was made')
  t.not((await mend(node)).left.length, 0)
  t.equal(await node.overlay.flush(node.journal), 'compare')
  node.kernel.failing.length = 0
  t.same((await mend(node)).left, [])
  t.equal(await node.overlay.flush(node.journal), 'done')
})

t.test('a node that gets other addresses is compared as a whole', async (t) => {
  const node = await aSettledNode(t)
  const moved = (path: Partial<NodePath>): void =>
    node.overlay.set({ ...aState(), paths: [aPath(1, path), aPath(2), aPath(3)] }, stamp)
  moved({ dataPathAddress: '10.99.0.77' })
  t.equal(await node.overlay.flush(node.journal), 'compare')
  t.same((await mend(node)).left, [])
  moved({ dataPathAddress: '10.99.0.77', dataPathPort: 5789 })
  t.equal(node.overlay.vxlanPort, 5789)
  t.equal(await node.overlay.flush(node.journal), 'compare')
  t.same((await mend({ ...node, vxlanPort: node.overlay.vxlanPort })).left, [])
  t.match(JSON.stringify(node.kernel.state), /from 10\.99\.0\.77 on port 5789/)
  t.equal(await node.overlay.flush(node.journal), 'done')
  moved({ dataPathAddress: '10.99.0.77', transit: ['100.127.0.99'] })
  t.equal(await node.overlay.flush(node.journal), 'compare')
  t.same((await mend(node)).left, [])
  node.overlay.set({ ...aState(), paths: [aPath(2)] }, stamp)
  t.equal(await node.overlay.flush(node.journal), 'compare')
  t.same((await mend(node)).left, [])
  t.notOk(
    node.kernel.state.dataPlane.items.some(({ key }) => key.includes('vx')),
    'out of it',
  )
})

t.test('news that are waited for come, or the waiting ends', async (t) => {
  const { overlay } = aNode(t)
  const ending = new AbortController()
  const waiting = overlay.waitFor(['net1'], new AbortController().signal)
  const giving = overlay.waitFor(['net2'], ending.signal)
  overlay.set(aState(), stamp)
  await waiting
  await overlay.waitFor(['net1'], new AbortController().signal)
  ending.abort(new Error('enough'))
  await t.rejects(giving, { message: 'enough' })
  await t.rejects(overlay.waitFor(['net2'], AbortSignal.abort(new Error('late'))), {
    message: 'late',
  })
})

t.test('a network that is wanted is held without a container', async (t) => {
  const node = aNode(t)
  await mend(node)
  node.overlay.set(aState(), stamp)
  await node.overlay.flush(node.journal)
  await mend(node)
  const hasLink = (): boolean =>
    node.kernel.state.dataPlane.items.some(({ key }) => key === 'vx100001')
  t.equal(hasLink(), false)
  const release = node.overlay.want(['net1'])
  const again = node.overlay.want(['net1'])
  t.equal(await node.overlay.flush(node.journal), 'done')
  t.equal(hasLink(), true)
  release()
  await node.overlay.flush(node.journal)
  t.equal(hasLink(), true)
  again()
  await node.overlay.flush(node.journal)
  t.equal(hasLink(), false)
  t.same(await audit(node), [])
})

t.test('a restarted daemon knows what it was told', async (t) => {
  const node = aNode(t)
  node.overlay.set(aState(), { epoch: 2, index: 7 })
  node.overlay.close()
  const next = aKeeper(t, node.kernel)
  t.same(next.load(), { epoch: 2, index: 7 })
  t.same(next.state, aState())
  t.same(next.view('net1'), aState().views[0])
})

t.test(
  'however the cluster changes, steps from change to change lead where a comparison leads',
  async (t) => {
    const node = aNode(t)
    await mend(node)
    const task = fc.record({
      name: fc.nat(7),
      on: fc.integer({ min: 1, max: 5 }),
      address: fc.integer({ min: 20, max: 29 }),
      isServing: fc.boolean(),
    })
    const world = fc.record({
      nodes: fc.integer({ min: 2, max: 5 }),
      held: fc.subarray([1, 2]),
      hasIngress: fc.boolean(),
      tasks: fc.array(task, { maxLength: 10 }),
      port: fc.option(fc.integer({ min: 8080, max: 8082 })),
      bindAddress: fc.constantFrom('', '127.0.0.1'),
      isMasqueraded: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(world, async (now) => {
        for (const { containerId } of node.journal.record?.endpoints ?? []) {
          node.journal.append({ kind: 'detached', containerId })
        }
        for (const number of now.held) {
          node.journal.append({
            kind: 'attached',
            endpoint: onNetwork(number, `10.${number}.0.10`),
          })
        }
        const tasksOn = (number: number): NetworkView['tasks'] => {
          const unique = new Map(now.tasks.map((one) => [one.address, one]))
          return [...unique.values()].map(({ name, on, address, isServing }) =>
            aTaskEndpoint(`s${name % 3}.${address}`, on, [`10.${number}.0.${address}`], {
              isServing,
            }),
          )
        }
        const ports = now.port === null ? [] : [anIngressPort({ ...now, publishedPort: now.port })]
        const services = (number: number): NetworkView['services'] =>
          [0, 1, 2].map((index) =>
            aServiceEndpoint(`s${index}`, {
              vips: [`10.${number}.0.${index + 2}`],
              ports: number === 9 && index === 0 ? ports : [],
            }),
          )
        const networks = [1, 2, ...(now.hasIngress ? [9] : [])]
        const views = networks.map((number) =>
          aView(aNetwork(number, { isIngress: number === 9 }), {
            tasks: tasksOn(number),
            services: services(number),
          }),
        )
        const paths = Array.from({ length: now.nodes }, (_, index) => aPath(index + 1))
        node.overlay.set(anOverlay(views, { paths }), stamp)
        // The simulated containers have no device: only the comparison would miss it.
        if ((await node.overlay.flush(node.journal)) === 'compare') await mend(node)
        t.same(await audit(node), [])
      }),
      { numRuns: 150 },
    )
  },
)
