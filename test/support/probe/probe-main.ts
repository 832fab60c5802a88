// A program for tests, started in the network namespace of a container or host: a server that tells its clients its name and
// their address, and a client that asks others, many at once. Driven over standard input (protocol.ts), many requests at once; ends with it.
//
//   node probe-main.js NAME [serve]
import { execFile } from 'node:child_process'
import { createSocket, type RemoteInfo } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import {
  type Answered,
  type Counts,
  probePort,
  type Question,
  type Request,
  type Server,
  type Transfer,
} from './protocol.ts'

const atOnceMax = 64
/** A datagram that nobody answered is sent again. */
const againMs = 500
const manyWithinMs = 5_000

const [, , name = '', mode] = process.argv
const heard = new Set<string>()

const plain = (address: string): string => address.replace(/^::ffff:/, '')
const codeOf = (err: unknown): string => (err as NodeJS.ErrnoException).code ?? String(err)

type Close = () => Promise<void>
const servers = new Map<string, Close>()

function listenTcp({ port, address }: Server, own: string): Promise<Close> {
  const tcp = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', (data) => {
      heard.add(data.toString().trim())
      socket.end(`${own} ${plain(socket.remoteAddress ?? '')}`)
    })
  })
  const host = address === undefined ? {} : { host: address }
  const close = (): Promise<void> => new Promise((resolve) => tcp.close(() => resolve()))
  return new Promise((resolve, reject) => {
    tcp.once('error', reject)
    tcp.listen({ port, ...host, backlog: 511 }, () => resolve(close))
  })
}

function listenUdp({ port, address }: Server, own: string): Promise<Close> {
  const type = address === undefined || address.includes(':') ? 'udp6' : 'udp4'
  const udp = createSocket({ type, recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 })
  udp.on('message', (data: Buffer, client: RemoteInfo) => {
    const [words = ''] = data.toString('latin1', 0, 200).split('\n')
    heard.add(words)
    const answer = Buffer.from(`${own} ${plain(client.address)}\n`)
    // As long as the question, when that is long.
    const rest = Buffer.alloc(Math.max(0, data.length > 200 ? data.length - answer.length : 0), 'x')
    udp.send(Buffer.concat([answer, rest]), client.port, client.address, () => {})
  })
  const close = (): Promise<void> => new Promise((resolve) => udp.close(() => resolve()))
  return new Promise((resolve, reject) => {
    udp.once('error', reject)
    udp.bind({ port, ...(address === undefined ? {} : { address }) }, () => resolve(close))
  })
}

const keyOf = ({ transport, port, address = '' }: Server): string =>
  `${transport} ${address} ${port}`

async function listen(server: Server, own: string): Promise<void> {
  const start = server.transport === 'tcp' ? listenTcp : listenUdp
  servers.set(keyOf(server), await start(server, own))
}

async function unlisten(server: Server): Promise<void> {
  await servers.get(keyOf(server))?.()
  servers.delete(keyOf(server))
}

/** Resolves with '' when it takes too long. */
function within(
  ms: number,
  start: (settle: (text: string) => void) => () => void,
): Promise<string> {
  return new Promise((resolve) => {
    let isSettled = false
    const settle = (text: string): void => {
      if (isSettled) return
      isSettled = true
      clearTimeout(timer)
      resolve(text)
      stop()
    }
    const timer = setTimeout(() => settle(''), ms)
    const stop = start((text) => queueMicrotask(() => settle(text)))
  })
}

function askTcp(
  { to, port = probePort, from, words = name }: Transfer,
  ms: number,
): Promise<string> {
  return within(ms, (settle) => {
    const local = from === undefined ? {} : { localAddress: from }
    const socket = connect({ host: to, port, ...local })
    let text = ''
    socket.on('connect', () => socket.write(`${words}\n`))
    socket.on('data', (data) => {
      text += data.toString()
    })
    socket.on('end', () => settle(text))
    socket.on('error', (err) => settle(codeOf(err)))
    return () => socket.destroy()
  })
}

function askUdp(
  { to, port = probePort, from, words = name, bytes }: Extract<Question, { kind: 'udp' }>,
  ms: number,
): Promise<string> {
  const head = Buffer.from(`${words}\n`)
  const data = bytes === undefined ? head : Buffer.concat([head, Buffer.alloc(bytes - head.length)])
  return within(ms, (settle) => {
    const type = to.includes(':') ? 'udp6' : 'udp4'
    const socket = createSocket({ type, recvBufferSize: bytes === undefined ? 65_536 : 4 << 20 })
    const send = (): void =>
      socket.send(data, (err) => (err === null ? undefined : settle(codeOf(err))))
    const timer = setInterval(send, againMs)
    socket.on('message', (answer) => {
      const [text = ''] = answer.toString('latin1', 0, 200).split('\n')
      settle(bytes === undefined ? text : `${text} ${answer.length}`)
    })
    socket.on('error', (err) => settle(codeOf(err)))
    // Told of what fails, whatever its type says.
    const connected = (err?: unknown): void => (err === undefined ? send() : settle(codeOf(err)))
    const go = (): void => socket.connect(port, to, connected)
    if (from === undefined) go()
    else socket.bind({ address: from }, go)
    return () => {
      clearInterval(timer)
      socket.close()
    }
  })
}

const resolver = new Resolver({ timeout: 1_500, tries: 3 })
resolver.setServers(['127.0.0.11'])

async function resolve(to: string, family: 4 | 6): Promise<readonly string[]> {
  return (await (family === 4 ? resolver.resolve4(to) : resolver.resolve6(to))).sort()
}

const isAddress = (to: string): boolean => /^[\d.]+$|:/.test(to)

/** Of a ping it is the address to ask, or the code of an error. */
async function answer(question: Question, ms: number): Promise<string> {
  try {
    if (question.kind === 'name') return (await resolve(question.to, question.family)).join(' ')
    const { to, family = 4 } = question
    const [address = ''] = isAddress(to) ? [to] : await resolve(to, family)
    if (question.kind === 'tcp') return await askTcp({ ...question, to: address }, ms)
    if (question.kind === 'udp') return await askUdp({ ...question, to: address }, ms)
    return address
  } catch (err) {
    return codeOf(err)
  }
}

/** Which of the addresses answer an echo request. All at once, from one shell: a process each is dear to start from here. */
function ping(addresses: readonly string[], ms: number): Promise<ReadonlySet<string>> {
  if (addresses.length === 0) return Promise.resolve(new Set())
  const wait = `-W${Math.max(1, Math.round(ms / 1_000))}`
  const script =
    'for a; do { busybox ping -c1 "$0" "$a" >/dev/null 2>&1 && echo "$a"; } & done; wait'
  const argv = ['sh', '-c', script, wait, ...new Set(addresses)]
  return new Promise((settle) => {
    execFile('busybox', argv, (_, stdout) => settle(new Set(stdout.trim().split('\n'))))
  })
}

/** All of them, at most so many at once. */
async function each<T>(
  values: readonly T[],
  ask: (value: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    for (let at = next++; at < values.length; at = next++) {
      const value = values[at]
      if (value !== undefined) await ask(value, at)
    }
  }
  await Promise.all(Array.from({ length: atOnceMax }, one))
}

async function handle(request: Request): Promise<readonly string[] | Counts | 'done'> {
  if (request.op === 'heard') return [...heard]
  if (request.op === 'listen') {
    await listen(request.server, request.name)
    return 'done'
  }
  if (request.op === 'unlisten') {
    await unlisten(request.server)
    return 'done'
  }
  if (request.op === 'ask') {
    const answers: string[] = []
    const { questions, withinMs } = request
    await each(questions, async (question, at) => {
      answers[at] = await answer(question, withinMs)
    })
    const isPing = (_: unknown, at: number): boolean => questions[at]?.kind === 'ping'
    const pongs = await ping(answers.filter(isPing).filter(isAddress), withinMs)
    return answers.map((text, at) => {
      if (!isPing(text, at) || !isAddress(text)) return text
      return pongs.has(text) ? 'pong' : ''
    })
  }
  const counts: Record<string, number> = {}
  const { question, times } = request
  await each(new Array<Question>(times).fill(question), async (same) => {
    const text = await answer(same, manyWithinMs)
    counts[text] = (counts[text] ?? 0) + 1
  })
  return counts
}

async function main(): Promise<void> {
  if (mode === 'serve') {
    for (const transport of ['tcp', 'udp'] as const)
      await listen({ transport, port: probePort }, name)
  }
  const say = (answered: Answered): boolean => process.stdout.write(`${JSON.stringify(answered)}\n`)
  say({ id: 0, answer: 'ready' })
  for await (const line of createInterface(process.stdin)) {
    const { id, ...request } = JSON.parse(line) as Request & { readonly id: number }
    handle(request).then(
      (answer) => say({ id, answer }),
      (err) => say({ id, failure: String(err) }),
    )
  }
  process.exit(0)
}

if (name !== '') await main()
