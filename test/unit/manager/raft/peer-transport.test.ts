// The peer listener and sender with real certificates on loopback: who gets through, and who does not.
import { connect, createServer, type Socket } from 'node:net'
import type { PeerMessage } from 'raft-ts'
import t, { type Test } from 'tap'
import { createRootCa, issueCertificate, type RootCa } from '../../../../manager/ca/root-ca.ts'
import { PeerTransport } from '../../../../manager/raft/peer-transport.ts'
import type { RaftCredentials, RaftPeer } from '../../../../manager/raft/raft-handle.ts'
import { type Clock, systemClock } from '../../../../proto/lib/clock.ts'
import { createNodeKey } from '../../../../worker/identity/node-key.ts'
import { freeAddress } from '../../../support/free-ports.ts'
import { managerCredentials } from '../../../support/raft-members.ts'
import { until } from '../../../support/until.ts'

interface End {
  readonly transport: PeerTransport
  readonly peer: RaftPeer
  readonly heard: PeerMessage[]
  readonly lost: string[]
  readonly gone: string[]
}

const heartbeat = (from: string, to: string, round = 1): PeerMessage => ({
  kind: 'heartbeat',
  from,
  to,
  term: 1,
  commit: 0,
  round,
})

async function anEnd(
  t: Test,
  root: RootCa,
  name: string,
  options: { readonly credentials?: RaftCredentials; readonly clock?: Clock } = {},
): Promise<End> {
  const peer = { id: `raft-${name}`, nodeId: `node-${name}`, address: await freeAddress() }
  const heard: PeerMessage[] = []
  const lost: string[] = []
  const gone: string[] = []
  const transport = await PeerTransport.listen({
    selfId: peer.id,
    group: 'test',
    listenAddress: peer.address,
    credentials: options.credentials ?? (await managerCredentials(root, peer.nodeId)),
    clock: options.clock ?? systemClock,
    onMessage: (message) => heard.push(message),
    onUnreachable: (id) => lost.push(id),
    onGone: (id) => gone.push(id),
  })
  t.teardown(() => transport.close())
  return { transport, peer, heard, lost, gone }
}

/** Sends a heartbeat again and again until one is heard; whether one was within the time. */
async function getsThrough(from: End, to: End, withinMs = 20_000): Promise<boolean> {
  const before = to.heard.length
  const endMs = performance.now() + withinMs
  while (performance.now() < endMs) {
    from.transport.send('fast', heartbeat(from.peer.id, to.peer.id))
    await new Promise((resolve) => setTimeout(resolve, 20))
    if (to.heard.length > before) return true
  }
  return false
}

const introduce = (...ends: readonly End[]): void => {
  for (const end of ends) end.transport.setPeers(ends.map(({ peer }) => peer))
}

t.test('members hear one another on every lane, in order', async (t) => {
  const root = await createRootCa(Date.now())
  const a = await anEnd(t, root, 'a')
  const b = await anEnd(t, root, 'b')
  introduce(a, b)
  t.ok(await getsThrough(a, b))
  t.ok(await getsThrough(b, a))
  const from = b.heard.length
  for (let round = 10; round < 60; round++) {
    t.ok(a.transport.send('bulk', heartbeat(a.peer.id, b.peer.id, round)))
  }
  await until(() => b.heard.length >= from + 50, 'all 50 messages are heard')
  const rounds = b.heard.slice(from).map((message) => message.kind === 'heartbeat' && message.round)
  t.same(
    rounds,
    Array.from({ length: 50 }, (_, i) => i + 10),
  )
})

t.test('a member whose process ends is gone, one that connects anew is not', async (t) => {
  const root = await createRootCa(Date.now())
  const a = await anEnd(t, root, 'a')
  const b = await anEnd(t, root, 'b')
  const c = await anEnd(t, root, 'c')
  introduce(a, b, c)
  t.ok(await getsThrough(a, b))
  a.transport.setCredentials(await managerCredentials(root, a.peer.nodeId))
  t.ok(await getsThrough(a, b))
  t.ok(await getsThrough(c, b))
  c.transport.close()
  await until(() => b.gone.length > 0, 'it is gone')
  t.same(b.gone, [c.peer.id])
  t.same(a.gone, [], 'who never heard it says nothing')
})

t.test('a request to campaign is said on a connection of its own as well', async (t) => {
  const root = await createRootCa(Date.now())
  const a = await anEnd(t, root, 'a')
  const b = await anEnd(t, root, 'b')
  introduce(a, b)
  t.ok(await getsThrough(a, b))
  const request = { kind: 'timeout-now', from: a.peer.id, to: b.peer.id, term: 1 } as const
  const heard = (): number => b.heard.filter(({ kind }) => kind === 'timeout-now').length
  a.transport.send('fast', request)
  await until(() => heard() === 2, 'both are heard')
  // With new credentials it is there again before it is needed.
  a.transport.setCredentials(await managerCredentials(root, a.peer.nodeId))
  t.ok(await getsThrough(a, b))
  a.transport.send('fast', request)
  await until(() => heard() === 4, 'and again')
})

t.test('nobody else is heard', async (t) => {
  const root = await createRootCa(Date.now())
  const other = await createRootCa(Date.now())
  const b = await anEnd(t, root, 'b')

  await t.test('a member of another root', async (t) => {
    const credentials = await managerCredentials(other, 'node-a')
    const mixed = { ...credentials, caPem: root.certPem + other.certPem }
    const a = await anEnd(t, root, 'a', { credentials: mixed })
    introduce(a, b)
    t.notOk(await getsThrough(a, b, 600))
  })
  await t.test('a worker of the cluster', async (t) => {
    const { csrPem, keyPem } = await createNodeKey()
    const subject = { nodeId: 'node-a', role: 'worker', clusterId: 'test' } as const
    const life = { nowMs: Date.now(), lifeMs: 3_600_000 }
    const certPem = await issueCertificate(root, { subject, csrPem, ...life })
    const credentials = { certPem: certPem + root.certPem, keyPem, caPem: root.certPem }
    const a = await anEnd(t, root, 'a', { credentials })
    introduce(a, b)
    t.notOk(await getsThrough(a, b, 600))
  })
  await t.test('a certificate that has expired', async (t) => {
    const credentials = await managerCredentials(root, 'node-a', -1_000)
    const a = await anEnd(t, root, 'a', { credentials })
    introduce(a, b)
    t.notOk(await getsThrough(a, b, 600))
  })
  await t.test('a manager that is no member', async (t) => {
    const a = await anEnd(t, root, 'a')
    introduce(a, b)
    b.transport.setPeers([b.peer])
    t.notOk(await getsThrough(a, b, 600))
    b.transport.setPeers([a.peer, b.peer])
    t.ok(await getsThrough(a, b), 'until it is one')
  })
  await t.test('a member that speaks for another', async (t) => {
    const a = await anEnd(t, root, 'a')
    const c = await anEnd(t, root, 'c')
    introduce(a, b, c)
    t.ok(await getsThrough(a, b))
    const before = b.heard.length
    a.transport.send('fast', heartbeat(c.peer.id, b.peer.id))
    t.ok(await getsThrough(a, b))
    t.ok(b.heard.slice(before).every((message) => message.from === a.peer.id))
  })
  await t.test('somebody at the address of a member with another name', async (t) => {
    const a = await anEnd(t, root, 'a')
    const impostor = await anEnd(t, root, 'x')
    introduce(a, impostor)
    a.transport.setPeers([a.peer, { ...b.peer, address: impostor.peer.address }])
    a.transport.send('fast', heartbeat(a.peer.id, b.peer.id))
    t.notOk(await getsThrough(a, { ...impostor, peer: b.peer }, 600))
  })
  await t.test('plain text', async (t) => {
    const [host = '', port = ''] = b.peer.address.split(':')
    const socket = connect(Number(port), host)
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve).once('error', resolve))
    t.pass('the connection is closed')
  })
})

t.test('a certificate is good only as long as it is valid, also on an open stream', async (t) => {
  const root = await createRootCa(Date.now())
  let aheadMs = 0
  const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + aheadMs }
  const a = await anEnd(t, root, 'a')
  const b = await anEnd(t, root, 'b', { clock })
  introduce(a, b)
  t.ok(await getsThrough(a, b))
  aheadMs = 2 * 3_600_000
  t.notOk(await getsThrough(a, b, 600))
})

t.test('credentials are replaced while it runs, roots included', async (t) => {
  const root = await createRootCa(Date.now())
  const next = await createRootCa(Date.now())
  const both = root.certPem + next.certPem
  const a = await anEnd(t, root, 'a')
  const b = await anEnd(t, root, 'b')
  introduce(a, b)
  t.ok(await getsThrough(a, b))
  for (const end of [a, b]) {
    const old = await managerCredentials(root, end.peer.nodeId)
    end.transport.setCredentials({ ...old, caPem: both })
  }
  for (const end of [a, b]) {
    const renewed = await managerCredentials(next, end.peer.nodeId)
    end.transport.setCredentials({ ...renewed, caPem: both })
    t.ok(await getsThrough(a, b), 'in the middle of a rotation')
    t.ok(await getsThrough(b, a), 'in both directions')
  }
})

t.test('an unknown peer and a full lane are said at once', async (t) => {
  const root = await createRootCa(Date.now())
  const a = await anEnd(t, root, 'a')
  t.equal(a.transport.send('fast', heartbeat('raft-a', 'nobody')), false)
  const silent = { id: 'raft-s', nodeId: 'node-s', address: '127.0.0.1:1' }
  a.transport.setPeers([a.peer, silent])
  const append: PeerMessage = {
    kind: 'append',
    from: 'raft-a',
    to: 'raft-s',
    term: 1,
    prevIndex: 0,
    prevTerm: 0,
    commit: 0,
    entries: [{ kind: 'data', term: 1, index: 1, data: new Uint8Array(1024 * 1024) }],
  }
  const taken = Array.from({ length: 40 }, () => a.transport.send('bulk', append))
  t.ok(taken[0] === true && taken.at(-1) === false)
  await until(() => a.lost.length > 0, 'the silent member is given up')
  t.same(a.lost[0], 'raft-s')
})

t.test('a member that comes back is reached again, and its silence is noticed', async (t) => {
  const root = await createRootCa(Date.now())
  const a = await anEnd(t, root, 'a')
  const first = await anEnd(t, root, 'b')
  introduce(a, first)
  t.ok(await getsThrough(a, first))
  a.transport.send('bulk', heartbeat(a.peer.id, first.peer.id))
  await until(() => first.heard.length > 1, 'the lane of appends is open')
  first.transport.close()
  await until(() => a.lost.length > 0, 'the lost connection is noticed')
  const heard: PeerMessage[] = []
  const again = await PeerTransport.listen({
    selfId: first.peer.id,
    group: 'test',
    listenAddress: first.peer.address,
    credentials: await managerCredentials(root, first.peer.nodeId),
    clock: systemClock,
    onMessage: (message) => heard.push(message),
    onUnreachable: () => {},
  })
  t.teardown(() => again.close())
  again.setPeers([a.peer, first.peer])
  t.ok(await getsThrough(a, { ...first, heard }))
})

t.test('a connection that goes silent is given up long before TCP does', async (t) => {
  const root = await createRootCa(Date.now())
  const a = await anEnd(t, root, 'a')
  const b = await anEnd(t, root, 'b')
  introduce(a, b)
  const sockets: Socket[] = []
  const [host = '', port = ''] = b.peer.address.split(':')
  const between = createServer((near) => {
    const far = connect(Number(port), host)
    near.pipe(far).pipe(near)
    for (const socket of [near, far]) sockets.push(socket.on('error', () => {}))
  })
  const address = await freeAddress()
  await new Promise<void>((resolve) => {
    between.listen(Number(address.split(':')[1]), '127.0.0.1', resolve)
  })
  t.teardown(() => {
    between.close()
    for (const socket of sockets) socket.destroy()
  })
  a.transport.setPeers([a.peer, { ...b.peer, address }])
  a.transport.send('bulk', heartbeat(a.peer.id, b.peer.id))
  await until(() => b.heard.length > 0, 'it is heard through the middle')
  t.same(a.lost, [])
  for (const socket of sockets) socket.unpipe().pause()
  // A silence is one after something was said, and an answer on its way may still come after that.
  await until(() => {
    a.transport.send('bulk', heartbeat(a.peer.id, b.peer.id))
    return a.lost.length > 0
  }, 'the silence is noticed')
  t.equal(a.lost[0], b.peer.id)
})

t.test('an address that is in use or not ours is said clearly', async (t) => {
  const root = await createRootCa(Date.now())
  const a = await anEnd(t, root, 'a')
  const options = {
    selfId: 'raft-b',
    group: 'test',
    credentials: await managerCredentials(root, 'node-b'),
    clock: systemClock,
    onMessage: () => {},
    onUnreachable: () => {},
  }
  await t.rejects(PeerTransport.listen({ ...options, listenAddress: a.peer.address }), {
    code: 'ADDRESS_IN_USE',
  })
  for (const listenAddress of ['192.0.2.1:5000', 'nonsense']) {
    await t.rejects(PeerTransport.listen({ ...options, listenAddress }), {
      code: 'INVALID_ARGUMENT',
    })
  }
})
