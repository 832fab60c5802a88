// Members' messages over real sockets on loopback, with mutual TLS.
import { connect, createServer, type Server, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import type { Lane, Message, Note, PeerMessage } from 'raft-ts'
import { encodePeerMessage, type PeerLink, TcpNetwork, type TlsIdentity } from 'raft-ts/node'
import t from 'tap'
import { aRoot } from './support/certificates.ts'
import { freePort } from './support/free-port.ts'
import { until } from './support/until.ts'

const host = '127.0.0.1'
const root = await aRoot()
const identities = new Map<string, TlsIdentity>()
for (const id of ['a', 'b']) identities.set(id, await root.issue(id))

/** One end with what it got. */
class End {
  readonly received: PeerMessage[] = []
  readonly unreachable: string[] = []
  readonly gone: string[] = []
  readonly notes: Note[] = []
  readonly network: TcpNetwork
  readonly id: string
  #link: PeerLink | undefined

  constructor(
    id: string,
    ports: Map<string, number>,
    options: {
      readonly identity?: TlsIdentity | 'plain'
      readonly port?: number
      readonly cluster?: string
      readonly verifyPeer?: (id: string, name: string) => boolean
    } = {},
  ) {
    this.id = id
    const identity = options.identity ?? (identities.get(id) as TlsIdentity)
    const verify = options.verifyPeer ?? ((peer, name) => name === peer)
    this.network = new TcpNetwork({
      listen: { host, port: options.port ?? 0 },
      addressOf: (peer) => {
        const port = ports.get(peer)
        return port === undefined ? undefined : { host, port }
      },
      security:
        identity === 'plain'
          ? 'plain'
          : { ...identity, verifyPeer: (peer, { subject }) => verify(peer, String(subject.CN)) },
      ...(options.cluster === undefined ? {} : { cluster: options.cluster }),
      onNote: (note) => this.notes.push(note),
    })
  }

  async join(): Promise<number> {
    this.#link = await this.network.join(this.id, {
      receive: (message) => this.received.push(message),
      unreachable: (id) => this.unreachable.push(id),
      gone: (id) => this.gone.push(id),
    })
    return this.network.port as number
  }

  send(lane: Lane, message: PeerMessage): boolean {
    return this.#link?.send(lane, message) ?? false
  }

  async close(): Promise<void> {
    await this.#link?.close()
  }

  reasons(kind: string): string[] {
    return this.notes.filter((note) => note.kind === kind).map(({ facts }) => String(facts.reason))
  }
}

type Test = { teardown(run: () => Promise<void>): void }

async function joined(
  t: Test,
  id: string,
  ports: Map<string, number>,
  options?: ConstructorParameters<typeof End>[2],
): Promise<End> {
  const end = new End(id, ports, options)
  t.teardown(() => end.close())
  ports.set(id, await end.join())
  return end
}

function heartbeat(from: string, to: string, round: number): Message {
  return { kind: 'heartbeat', from, to, term: 1, commit: 0, round }
}

function chunk(from: string, to: string, bytes: Uint8Array): PeerMessage {
  const contentHash = 'ab'.repeat(32)
  return { kind: 'snapshot-chunk', from, to, term: 1, contentHash, offset: 0, bytes, crc: 0 }
}

/** Sends from a to b until one arrives that was sent now; `start` is above all earlier ones. */
async function arrives(from: End, to: End, start: number): Promise<void> {
  let round = start
  await until('a message arrives', () => {
    round += 1
    from.send('fast', heartbeat(from.id, to.id, round))
    return to.received.some((got) => got.kind === 'heartbeat' && got.round > start)
  })
}

t.test('every lane carries messages both ways, in order and unchanged', async (t) => {
  const ports = new Map<string, number>()
  const a = await joined(t, 'a', ports)
  const b = await joined(t, 'b', ports)
  const big = new Uint8Array(3_000_000).map((_, i) => i % 251)
  for (let round = 1; round <= 100; round++) t.ok(a.send('fast', heartbeat('a', 'b', round)))
  const append: Message = {
    kind: 'append',
    from: 'a',
    to: 'b',
    term: 1,
    prevIndex: 0,
    prevTerm: 0,
    commit: 0,
    entries: [{ kind: 'data', term: 1, index: 1, data: big }],
  }
  t.ok(a.send('bulk', append))
  t.ok(a.send('snapshot', chunk('a', 'b', big)))
  t.ok(b.send('fast', heartbeat('b', 'a', 7)))
  await until('all is there', () => b.received.length === 102 && a.received.length === 1)
  const rounds = b.received.flatMap((got) => (got.kind === 'heartbeat' ? [got.round] : []))
  t.same(
    rounds,
    Array.from({ length: 100 }, (_, i) => i + 1),
  )
  const got = b.received.find(({ kind }) => kind === 'append')
  t.ok(got?.kind === 'append' && got.entries[0]?.kind === 'data')
  t.ok(Buffer.from(encodePeerMessage(got as Message)).equals(encodePeerMessage(append)))
  t.same(a.received, [heartbeat('b', 'a', 7)])
  t.equal(a.send('fast', heartbeat('a', 'nobody', 1)), false)
})

t.test('a member that comes back is reached again', async (t) => {
  const ports = new Map<string, number>()
  const a = await joined(t, 'a', ports)
  const port = await freePort()
  const first = new End('b', ports, { port })
  ports.set('b', await first.join())
  await arrives(a, first, 0)
  a.send('bulk', heartbeat('a', 'b', 1))
  await until('on the bulk lane too', () =>
    first.received.some((m) => 'round' in m && m.round === 1),
  )
  await first.close()
  await until('the loss is told', () => a.unreachable.includes('b'))
  // On the same port, and then on another.
  const second = await joined(t, 'b', ports, { port })
  await arrives(a, second, 1000)
  await second.close()
  const third = await joined(t, 'b', ports)
  await arrives(a, third, 2000)
})

t.test('the certificate of another member opens nothing', async (t) => {
  const ports = new Map<string, number>()
  const b = await joined(t, 'b', ports)
  // A member of the cluster that speaks as another one.
  const mallory = await joined(t, 'a', ports, { identity: await root.issue('mallory') })
  await until('it is refused', () => {
    mallory.send('fast', heartbeat('a', 'b', 1))
    return mallory.reasons('peer-lost').includes('refused: not-your-certificate')
  })
  t.same(b.received, [])
  t.match(b.notes, [{ kind: 'peer-refused', facts: { reason: 'not-your-certificate', from: 'a' } }])
  // One that stands where another should: nothing is said to it.
  b.send('fast', heartbeat('b', 'a', 1))
  await until('it is not spoken to', () =>
    b.reasons('peer-lost').some((reason) => /is not that of member a/.test(reason)),
  )
  t.same(mallory.received, [])
})

t.test('a certificate of another root, or none, opens nothing', async (t) => {
  const ports = new Map<string, number>()
  const b = await joined(t, 'b', ports)
  const foreign = await (await aRoot('another root')).issue('a')
  const stranger = await joined(t, 'a', ports, { identity: { ...foreign, ca: root.certPem } })
  await until('it is refused', () => {
    stranger.send('fast', heartbeat('a', 'b', 1))
    return b.reasons('peer-refused').length > 0 && stranger.reasons('peer-lost').length > 0
  })
  t.same(b.received, [])
  const bare = tlsConnect({ host, port: ports.get('b') as number, rejectUnauthorized: false })
  bare.on('error', () => {})
  bare.write(frame(hello('a', 'b')))
  await until('it is closed', () => bare.destroyed)
  t.same(b.received, [])
})

t.test('a check that throws accepts nobody', async (t) => {
  const ports = new Map<string, number>()
  const broken = (): boolean => {
    throw new Error('broken')
  }
  const a = await joined(t, 'a', ports)
  const b = await joined(t, 'b', ports, { verifyPeer: broken })
  await until('it is refused', () => {
    a.send('fast', heartbeat('a', 'b', 1))
    return a.reasons('peer-lost').includes('refused: not-your-certificate')
  })
  t.same(b.received, [])
})

t.test('identities are renewed without a restart', async (t) => {
  const ports = new Map<string, number>()
  const a = await joined(t, 'a', ports)
  const b = await joined(t, 'b', ports)
  await arrives(a, b, 0)
  // A new root: both trust both, then both use the new one.
  const next = await aRoot('next root')
  for (const [id, end] of [
    ['a', a],
    ['b', b],
  ] as const) {
    end.network.renew({ ...(identities.get(id) as TlsIdentity), ca: [root.certPem, next.certPem] })
  }
  await arrives(a, b, 1000)
  a.network.renew(await next.issue('a'))
  b.network.renew(await next.issue('b'))
  await arrives(a, b, 2000)
  t.throws(() => a.network.renew({ cert: 'x', key: 'y', ca: 'z' }))
  t.ok(a.send('fast', heartbeat('a', 'b', 3000)))
})

t.test('another cluster, member or version is refused by name', async (t) => {
  const ports = new Map<string, number>()
  const b = await joined(t, 'b', ports, { identity: 'plain', cluster: 'one' })
  const a = await joined(t, 'a', ports, { identity: 'plain', cluster: 'two' })
  await until('another cluster', () => {
    a.send('fast', heartbeat('a', 'b', 1))
    return a.reasons('peer-lost').includes('refused: another-cluster')
  })
  const port = ports.get('b') as number
  t.equal(await answerTo(port, frame(hello('a', 'c', 'one'))), 4)
  t.equal(await answerTo(port, frame(hello('b', 'b', 'one'))), 4)
  const newer = hello('a', 'b', 'one')
  newer[12] = 2
  t.equal(await answerTo(port, frame(newer)), 2)
  t.same(b.received, [])
})

t.test('what is no message of the one who speaks ends the connection, and no other', async (t) => {
  const ports = new Map<string, number>()
  const a = await joined(t, 'a', ports, { identity: 'plain' })
  const b = await joined(t, 'b', ports, { identity: 'plain' })
  await arrives(a, b, 0)
  const port = ports.get('b') as number
  const greeting = frame(hello('c', 'b'))
  const wrong: readonly (readonly [string, Buffer])[] = [
    ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a frame that is too large', Buffer.from('ffffffff', 'hex')],
    ['a hello that is too large', Buffer.from('00100000', 'hex')],
    ['an empty frame', Buffer.from('00000000', 'hex')],
    ['no message', Buffer.concat([greeting, frame(Buffer.from('0163', 'hex'))])],
    ['as another', Buffer.concat([greeting, frame(encodePeerMessage(heartbeat('z', 'b', 1)))])],
    ['to another', Buffer.concat([greeting, frame(encodePeerMessage(heartbeat('c', 'x', 1)))])],
  ]
  for (const [name, bytes] of wrong) {
    const socket = connect({ host, port })
    socket.on('error', () => {})
    socket.resume()
    socket.write(bytes)
    await until(`${name}: closed`, () => socket.destroyed)
    t.pass(name)
  }
  t.ok(b.received.every(({ from, to }) => from === 'a' && to === 'b'))
  await arrives(a, b, 1000)
})

t.test('a new connection of a lane takes the place of the one before', async (t) => {
  const ports = new Map<string, number>()
  const b = await joined(t, 'b', ports, { identity: 'plain' })
  const open = (): Socket => {
    const socket = connect({ host, port: ports.get('b') as number })
    socket.resume()
    socket.write(frame(hello('a', 'b')))
    return socket
  }
  const first = open()
  first.write(frame(encodePeerMessage(heartbeat('a', 'b', 1))))
  await until('the first is heard', () => b.received.length === 1)
  const second = open()
  await until('the first is closed', () => first.destroyed)
  second.write(frame(encodePeerMessage(heartbeat('a', 'b', 2))))
  await until('the second is heard', () => b.received.length === 2)
  second.destroy()
})

t.test(
  'a peer that reads nothing costs bounded memory, is noticed, and holds up no other lane',
  async (t) => {
    const sockets: Socket[] = []
    const received: Buffer[] = []
    // The first connection, of the snapshot lane, is never read; others are, and told that they were heard.
    const server = await listening((socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      if (sockets.length === 1) return
      socket.on('data', (bytes) => {
        received.push(bytes)
        socket.write(Buffer.of(1))
      })
    })
    t.teardown(async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const ports = new Map([['b', portOf(server)]])
    const a = await joined(t, 'a', ports, { identity: 'plain' })
    const piece = new Uint8Array(256 * 1024)
    let taken = 0
    a.send('snapshot', chunk('a', 'b', piece))
    await until('connected', () => sockets.length === 1)
    sockets[0]?.write(Buffer.of(1))
    await until('the lane is full', async () => {
      if (!a.send('snapshot', chunk('a', 'b', piece))) return true
      taken += piece.length
      return false
    })
    // 4 MiB here, and what the kernel takes.
    t.ok(taken < 64 * 1024 * 1024, `${taken} bytes were taken`)
    t.ok(a.send('fast', heartbeat('a', 'b', 1)))
    await until('the fast lane goes on', () => received.length > 0)
    await until('the silence is noticed', () => {
      a.send('snapshot', chunk('a', 'b', piece))
      return a.reasons('peer-lost').some((reason) => /nothing was heard for 2500 ms/.test(reason))
    })
    t.same(a.unreachable, [])
  },
)

t.test(
  'a peer that does not answer the hello is given up, and dialled less and less often',
  async (t) => {
    let dials = 0
    const server = await listening((socket) => {
      dials += 1
      socket.on('error', () => {})
      socket.destroy()
    })
    t.teardown(async () => {
      server.close()
    })
    const a = await joined(t, 'a', new Map([['b', portOf(server)]]), { identity: 'plain' })
    const startMs = performance.now()
    await until('dialled often enough', () => {
      a.send('bulk', heartbeat('a', 'b', 1))
      return dials >= 6
    })
    // Half of 50, 100, 200, 400 and 500 ms at least.
    t.ok(performance.now() - startMs >= 625)
    t.ok(a.unreachable.length >= 5)
  },
)

t.test('a member whose process ends is gone, one that only connects anew is not', async (t) => {
  const ports = new Map<string, number>()
  const a = await joined(t, 'a', ports)
  const b = await joined(t, 'b', ports)
  await arrives(a, b, 0)
  await arrives(b, a, 0)
  a.network.renew(identities.get('a') as TlsIdentity)
  b.network.redial('a')
  await arrives(a, b, 1000)
  await arrives(b, a, 1000)
  t.same([...a.gone, ...b.gone], [])
  await b.close()
  await until('it is told', () => a.gone.length > 0)
  t.same([...new Set(a.gone)], ['b'])
})

t.test('a request to campaign is said on a connection of its own as well', async (t) => {
  const ports = new Map<string, number>()
  const a = await joined(t, 'a', ports)
  const b = await joined(t, 'b', ports)
  await arrives(a, b, 0)
  const heard = (): number => b.received.filter(({ kind }) => kind === 'timeout-now').length
  a.send('fast', { kind: 'timeout-now', from: 'a', to: 'b', term: 1 })
  await until('both are heard', () => heard() === 2)
})

t.test('who is no member any more is cut off at its next message', async (t) => {
  const ports = new Map<string, number>()
  let isMember = true
  const a = await joined(t, 'a', ports)
  const b = await joined(t, 'b', ports, { verifyPeer: (id, name) => isMember && id === name })
  await arrives(a, b, 0)
  isMember = false
  const before = b.received.length
  await until('it is refused', () => {
    a.send('fast', heartbeat('a', 'b', 7))
    return b.reasons('peer-refused').includes('not-your-certificate')
  })
  t.equal(b.received.length, before)
  isMember = true
  await arrives(a, b, 1000)
})

t.test('an address in use, a second member, and unreadable keys are refused at once', async (t) => {
  const ports = new Map<string, number>()
  const a = await joined(t, 'a', ports, { identity: 'plain' })
  const other = new End('b', ports, { identity: 'plain', port: ports.get('a') as number })
  await t.rejects(other.join(), /cannot listen on 127\.0\.0\.1:\d+ for peers: .*EADDRINUSE/)
  await t.rejects(a.join(), /a TCP network carries one member/)
  t.throws(() => new End('a', ports, { identity: { cert: 'no', key: 'no', ca: 'no' } }))
  t.throws(() => a.network.renew(identities.get('a') as TlsIdentity), /no identity to renew/)
  // A port that cannot be: nothing is thrown into the driver.
  ports.set('b', 99_999_999)
  t.equal(a.send('bulk', heartbeat('a', 'b', 1)), false)
  await until('told', () => a.unreachable.includes('b'))
  // Nor by a message that cannot be carried.
  t.equal(a.send('fast', heartbeat('a', 'b', 0.5)), false)
  await a.close()
  t.equal(a.send('fast', heartbeat('a', 'b', 1)), false)
  // After the link is closed it may be joined again.
  t.type(await a.join(), 'number')
})

function listening(onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer(onSocket)
  return new Promise((resolve) => server.listen({ host, port: 0 }, () => resolve(server)))
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** The first frame of the fast lane, spelled out: the format on the wire stays. */
function hello(from: string, to: string, cluster = 'raft'): Buffer {
  const text = (value: string): Buffer =>
    Buffer.concat([Buffer.of(value.length), Buffer.from(value)])
  return Buffer.concat([
    Buffer.from('raft-ts peer'),
    Buffer.of(1),
    text(cluster),
    text(from),
    text(to),
    Buffer.of(0),
  ])
}

function frame(bytes: Uint8Array): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(bytes.length)
  return Buffer.concat([header, bytes])
}

/** The byte that a listener answers. */
function answerTo(port: number, bytes: Buffer): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => socket.write(bytes))
    socket.on('error', () => {})
    socket.once('data', (answer) => {
      resolve(answer[0])
      socket.destroy()
    })
    socket.once('close', () => resolve(undefined))
  })
}
