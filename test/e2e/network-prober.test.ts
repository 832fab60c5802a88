// Containers are asked over the network from the data plane of their node, whatever networks they are on; on real kernels.
import { readdir, readFile } from 'node:fs/promises'
import t from 'tap'
import { systemClock } from '../../proto/lib/clock.ts'
import type { NetworkQuestion } from '../../worker/health/ask-network.ts'
import { NetworkProber } from '../../worker/health/network-prober.ts'
import { eventually } from '../support/netns.ts'
import { aNetwork, aTaskEndpoint, aView } from '../support/overlay-builders.ts'
import { anOverlayWorld, joinNetworks } from '../support/overlay-world.ts'

t.setTimeout(120_000)
/** Each port has an answer of its own; the last says nothing. */
const server = `
  const { createServer } = require('node:http')
  for (const [port, status] of [[80, 204], [81, 302], [82, 503]]) {
    createServer((_, response) => response.writeHead(status).end('body')).listen(port)
  }
  createServer(() => {}).listen(90)
`
const never = new AbortController().signal

t.test('a container is asked over its network', async (t) => {
  const world = await anOverlayWorld(t)
  const node = world.node(1)
  const views = [
    aView(aNetwork(1), { tasks: [aTaskEndpoint('open.1', 1, ['10.1.0.11'])] }),
    aView(aNetwork(2, { isInternal: true }), { tasks: [aTaskEndpoint('in.1', 1, ['10.2.0.11'])] }),
  ]
  await world.tell(views)
  const open = await joinNetworks(world, { id: 'open', on: 1, networks: [[1, '10.1.0.11/24']] })
  const inner = await joinNetworks(world, { id: 'in', on: 1, networks: [[2, '10.2.0.11/24']] })
  const localProcess = await world.bench.container()
  const attachment = await node.network.attach(
    { containerId: 'local', name: 'local', pid: localProcess.pid, endpoints: [], ports: [] },
    never,
  )
  const [local = ''] = (attachment.endpoints[0]?.addresses[0] ?? '').split('/')
  for (const { enter } of [open.process, inner.process, localProcess]) {
    world.bench.daemon([...enter, process.execPath, '-e', server])
  }
  const prober = new NetworkProber({ dataPlaneFile: node.dataPlane, clock: systemClock })
  t.teardown(() => prober.close())
  const ask = (address: string, more: Partial<NetworkQuestion> = {}) => {
    const question = { kind: 'http' as const, address, port: 80, path: '/ok', timeoutMs: 3_000 }
    return prober.ask({ ...question, ...more }, never)
  }
  const addresses = { overlay: '10.1.0.11', internal: '10.2.0.11', local }

  for (const [name, address] of Object.entries(addresses)) {
    await t.test(`on a network: ${name}`, async (t) => {
      const tcp = { kind: 'tcp', path: '' } as const
      const opens = async () => (await ask(address, { ...tcp, port: 90 })).isHealthy
      await eventually(opens, 'the server waits on its ports')
      t.same(await ask(address), { isHealthy: true, output: '' })
      t.same(await ask(address, { port: 81 }), { isHealthy: true, output: '' })
      t.match(await ask(address, { port: 82 }), {
        isHealthy: false,
        output: /\/ok: status 503: body$/,
      })
      t.match(await ask(address, { port: 99 }), { isHealthy: false, output: /ECONNREFUSED/ })
      t.match(await ask(address, { ...tcp, port: 99 }), { isHealthy: false, output: /REFUSED/ })
    })
  }

  await t.test('who does not answer is waited for as long as was asked', async (t) => {
    const silent = await ask('10.1.0.11', { port: 90, timeoutMs: 300 })
    t.match(silent, { isHealthy: false, output: /^http:\/\/10.1.0.11:90\/ok: timeout after 0.3 s/ })
  })

  await t.test('one process asks them all, and another one when it is gone', async (t) => {
    const [pid, ...others] = await probers(node.dataPlane)
    t.ok(pid)
    t.same(others, [])
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    await eventually(async () => (await ask('10.1.0.11')).isHealthy, 'another one asks')
    t.equal((await probers(node.dataPlane)).length, 1)
    const controller = new AbortController()
    controller.abort()
    const question = {
      kind: 'tcp',
      address: '10.1.0.11',
      port: 80,
      path: '',
      timeoutMs: 1,
    } as const
    await t.rejects(prober.ask(question, controller.signal), { code: 'CANCELLED' })
    prober.close()
    await eventually(async () => (await probers(node.dataPlane)).length === 0, 'it has ended')
    await t.rejects(ask('10.1.0.11'), { code: 'UNAVAILABLE' })
  })
})

/** Processes of this program in that data plane. */
async function probers(dataPlane: string): Promise<readonly number[]> {
  const found: number[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const argv = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (!argv.includes('prober-main')) continue
    const env = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    // Of this test alone: another checkout's may run beside.
    if (Number(env.slice(env.lastIndexOf(')') + 2).split(' ')[1]) === process.pid)
      found.push(Number(pid))
  }
  return dataPlane === '' ? [] : found
}
