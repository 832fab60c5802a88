// Builders of overlay views and DNS messages, and clients and servers of both, for tests of the resolver.
import { createSocket, type Socket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { networkId, nodeId, serviceId, taskId } from '../../proto/objects/ids.ts'
import type {
  NetworkView,
  OverlayNetwork,
  ServiceEndpoint,
  TaskEndpoint,
} from '../../proto/objects/overlay.ts'
import { headerBytes } from '../../worker/network/dns/query.ts'
import { framed, MessageReader } from '../../worker/network/dns/tcp-framing.ts'

export const anOverlay = (changes: Partial<OverlayNetwork> = {}): OverlayNetwork => ({
  id: networkId('net1'),
  name: 'backend',
  vni: 1_048_576,
  subnets: ['10.0.1.0/24'],
  mtu: 1450,
  isInternal: false,
  isIngress: false,
  ...changes,
})

export const anEndpoint = (changes: Partial<ServiceEndpoint> = {}): ServiceEndpoint => ({
  serviceId: serviceId('svc1'),
  name: 'web',
  aliases: [],
  mode: 'vip',
  vips: ['10.0.1.2'],
  ports: [],
  ...changes,
})

export const aTaskEndpoint = (changes: Partial<TaskEndpoint> = {}): TaskEndpoint => ({
  taskId: taskId('task1'),
  serviceId: serviceId('svc1'),
  nodeId: nodeId('node1'),
  slot: 1,
  addresses: ['10.0.1.11'],
  aliases: [],
  isServing: true,
  ...changes,
})

export const aView = (
  tasks: readonly TaskEndpoint[] = [aTaskEndpoint()],
  services: readonly ServiceEndpoint[] = [anEndpoint()],
  network: OverlayNetwork = anOverlay(),
): NetworkView => ({ network, services, tasks })

export interface QueryOptions {
  readonly id?: number
  readonly type?: number
  readonly class?: number
  readonly flags?: number
  /** Adds EDNS with this size. */
  readonly udpBytesMax?: number
  readonly version?: number
  readonly isDnssecOk?: boolean
}

/** A query for the name as a client writes it. */
export function aQuery(name: string, options: QueryOptions = {}): Buffer {
  const labels = name === '' ? [] : name.split('.')
  const question = Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0, 0, options.type ?? 1, 0, options.class ?? 1]),
  ])
  const header = Buffer.alloc(headerBytes)
  header.writeUInt16BE(options.id ?? 4711, 0)
  header.writeUInt16BE(options.flags ?? 0x0100, 2)
  header.writeUInt16BE(1, 4)
  if (options.udpBytesMax === undefined) return Buffer.concat([header, question])
  header.writeUInt16BE(1, 10)
  const opt = Buffer.from([0, 0, 41, 0, 0, 0, options.version ?? 0, 0, 0, 0, 0])
  opt.writeUInt16BE(options.udpBytesMax, 3)
  if (options.isDnssecOk) opt[7] = 0x80
  return Buffer.concat([header, question, opt])
}

/** What the header of an answer says. */
export function headerOf(message: Buffer): {
  readonly id: number
  readonly code: number
  readonly isTruncated: boolean
  readonly isAuthoritative: boolean
  readonly counts: readonly number[]
} {
  return {
    id: message.readUInt16BE(0),
    code: message.readUInt8(3) & 15,
    isTruncated: (message.readUInt8(2) & 2) !== 0,
    isAuthoritative: (message.readUInt8(2) & 4) !== 0,
    counts: [4, 6, 8, 10].map((at) => message.readUInt16BE(at)),
  }
}

/** Sends messages in one burst from one socket and resolves with the first `count` answers. */
export function askUdp(
  port: number,
  messages: readonly Buffer[],
  options: { readonly from?: string; readonly to?: string; readonly count?: number } = {},
): Promise<readonly Buffer[]> {
  const { from = '127.0.0.1', to = '127.0.0.1', count = messages.length } = options
  const socket = createSocket('udp4')
  return new Promise((resolve, reject) => {
    const answers: Buffer[] = []
    const timer = setTimeout(() => {
      socket.close()
      reject(new Error(`${answers.length} of ${count} answers within 5 s`))
    }, 5_000)
    socket.on('message', (bytes) => {
      answers.push(bytes)
      if (answers.length < count) return
      clearTimeout(timer)
      socket.close()
      resolve(answers)
    })
    socket.on('error', reject)
    socket.bind(0, from, () => {
      for (const message of messages) socket.send(message, port, to)
    })
  })
}

/** Asks over a TCP connection of its own. */
export function askTcp(
  port: number,
  message: Buffer,
  options: { readonly from?: string; readonly to?: string } = {},
): Promise<Buffer> {
  const { from = '127.0.0.1', to = '127.0.0.1' } = options
  const socket = connect({ port, host: to, localAddress: from, timeout: 5_000 })
  const reader = new MessageReader()
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk) => {
      const [answer] = reader.push(chunk)
      if (answer === undefined) return
      socket.destroy()
      resolve(answer)
    })
    socket.on('timeout', () => socket.destroy(new Error('no answer within 5 s')))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed without an answer')))
    socket.write(framed(message))
  })
}

/** The C library's kind of client (c-ares), which shares no code with ours. */
export function aClient(port: number, from = '127.0.0.1', to = '127.0.0.1'): Resolver {
  const client = new Resolver({ timeout: 3_000, tries: 1 })
  client.setServers([`${to}:${port}`])
  client.setLocalAddress(from)
  return client
}

export interface FakeUpstream {
  readonly port: number
  /** Messages that came in, over UDP and TCP. */
  readonly got: Buffer[]
  close(): Promise<void>
}

/** A name server; what `answer` returns is sent, each in its turn. */
export async function aFakeUpstream(
  answer: (query: Buffer, isTcp: boolean) => readonly Buffer[],
  at = { address: '127.0.0.1', port: 0 },
): Promise<FakeUpstream> {
  const got: Buffer[] = []
  const tcp: Server = createServer((socket) => {
    const reader = new MessageReader()
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      for (const query of reader.push(chunk)) {
        got.push(query)
        for (const bytes of answer(query, true)) socket.write(framed(bytes))
      }
    })
  })
  const udp = await bindBoth(tcp, at)
  udp.on('message', (query, from) => {
    got.push(query)
    for (const bytes of answer(query, false)) udp.send(bytes, from.port, from.address)
  })
  return {
    port: udp.address().port,
    got,
    close: async () => {
      await new Promise<void>((resolve) => udp.close(() => resolve()))
      await new Promise<void>((resolve) => tcp.close(() => resolve()))
    },
  }
}

/** One port for both; of any, one that is free for UDP may be taken for TCP, and then it is another. */
async function bindBoth(
  tcp: Server,
  { address, port }: { readonly address: string; readonly port: number },
): Promise<Socket> {
  for (let tries = 1; ; tries++) {
    const udp = createSocket('udp4')
    udp.bind(port, address)
    await once(udp, 'listening')
    tcp.listen(udp.address().port, address)
    try {
      await once(tcp, 'listening')
      return udp
    } catch (err) {
      udp.close()
      if (port !== 0 || tries === 10) throw err
    }
  }
}

/** An answer to the query: its question, a code and as many A records 192.0.2.N as asked. */
export function anAnswer(query: Buffer, code = 0, records = 1): Buffer {
  const end = query.indexOf(0, headerBytes) + 5
  const head = Buffer.from(query.subarray(0, end))
  head.writeUInt16BE(0x8180 | code, 2)
  head.writeUInt16BE(records, 6)
  head.writeUInt16BE(0, 10)
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2]
  const all = Array.from({ length: records }, (_, i) => Buffer.from([...record, i + 1]))
  return Buffer.concat([head, ...all])
}
