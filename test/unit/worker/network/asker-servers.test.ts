import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type {
  AttachRequest,
  NetworkAttacher,
  NetworkAttachment,
} from '../../../../worker/executor/network-attacher.ts'
import { withOwnServers } from '../../../../worker/network/asker-servers.ts'

const never = new AbortController().signal

function attachment(isNodeResolved: boolean, ...addresses: readonly string[]): NetworkAttachment {
  const endpoints = addresses.map((address, at) => ({ networkId: `n${at}`, addresses: [address] }))
  return { endpoints, ports: [], nameservers: [], isNodeResolved, search: [], hosts: [] }
}

function request(containerId: string, ...nameservers: readonly string[]): AttachRequest {
  return { containerId, name: containerId, pid: 1, endpoints: [], ports: [], nameservers }
}

/** An attacher that answers with what it is told to, and the files there are. */
function aWorld(t: Test, failsToDetach = false) {
  const dir = join(mkdtempSync(join(tmpdir(), 'tsswarm-askers-')), 'askers')
  t.teardown(() => rmSync(join(dir, '..'), { recursive: true }))
  let next = attachment(true)
  const inner: NetworkAttacher = {
    attach: async () => next,
    detach: async () => {
      if (failsToDetach) throw new Error('the kernel does not answer')
    },
    connect: async () => next,
    disconnect: async () => next,
    restore: async () => {},
  }
  const files = (): Readonly<Record<string, string>> =>
    Object.fromEntries(
      readdirSync(dir).map((file) => [file, readFileSync(join(dir, file), 'utf8')]),
    )
  const answer = (one: NetworkAttachment): void => {
    next = one
  }
  return { attacher: withOwnServers(inner, dir), dir, files, answer }
}

t.test('the servers lie there for each address as long as the container has it', async (t) => {
  const { attacher, files, answer } = aWorld(t)
  await attacher.restore([])
  answer(attachment(true, '10.0.1.5/24', 'fd00::5/64'))
  await attacher.attach(request('a', '192.0.2.7', '192.0.2.8'), never)
  const text = 'nameserver 192.0.2.7\nnameserver 192.0.2.8\n'
  t.same(files(), { '10.0.1.5': text, 'fd00::5': text })
  const endpoint = { networkId: 'n2', addresses: [], aliases: [] }
  answer(attachment(true, '10.0.1.5/24', '10.0.2.5/24'))
  await attacher.connect({ containerId: 'a', name: 'a', pid: 1, endpoint }, never)
  t.same(files(), { '10.0.1.5': text, '10.0.2.5': text })
  answer(attachment(true, '10.0.2.5/24'))
  await attacher.disconnect('a', 'n1')
  t.same(files(), { '10.0.2.5': text })
  await attacher.detach('a')
  t.same(files(), {})
})

t.test(
  'who asks others than the node itself has no file, until it is on such a network',
  async (t) => {
    const { attacher, files, answer } = aWorld(t)
    await attacher.restore([])
    answer(attachment(true, '10.0.1.4/24'))
    await attacher.attach(request('plain'), never)
    answer(attachment(false, '172.17.0.4/16'))
    await attacher.attach(request('local', '192.0.2.7'), never)
    t.same(files(), {})
    answer(attachment(true, '172.17.0.4/16', '10.0.1.6/24'))
    const endpoint = { networkId: 'n1', addresses: [], aliases: [] }
    await attacher.connect({ containerId: 'local', name: 'local', pid: 1, endpoint }, never)
    t.same(Object.keys(files()).sort(), ['10.0.1.6', '172.17.0.4'])
  },
)

t.test('after a restart the files are those of the containers that live', async (t) => {
  const { attacher, dir, files } = aWorld(t)
  mkdirSync(dir)
  writeFileSync(join(dir, '10.0.1.99'), 'nameserver 192.0.2.1\n')
  const live = { request: request('a', '192.0.2.7'), attachment: attachment(true, '10.0.1.5/24') }
  await attacher.restore([live])
  t.same(files(), { '10.0.1.5': 'nameserver 192.0.2.7\n' })
})

t.test('they go also where the network cannot be taken back now', async (t) => {
  const { attacher, files, answer } = aWorld(t, true)
  await attacher.restore([])
  answer(attachment(true, '10.0.1.5/24'))
  await attacher.attach(request('a', '192.0.2.7'), never)
  await t.rejects(attacher.detach('a'), /does not answer/)
  t.same(files(), {})
})
