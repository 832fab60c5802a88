// A real registry behind a door that a test can make fail: it refuses, tears and changes what passes.
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { type RegistryOptions, startRegistry, type TestRegistry } from './registry.ts'

/** What happens to one request. */
export type Fault =
  | {
      readonly kind: 'refused'
      readonly status: number
      readonly words: string
      readonly headers?: Readonly<Record<string, string>>
    }
  /** The answer ends in its middle. */
  | { readonly kind: 'torn' }
  /** The answer has another byte in its middle. */
  | { readonly kind: 'changed' }
  /** Half of the answer, or none of it where there is no body, and then nothing more. */
  | { readonly kind: 'stalled' }
  /** No answer at all; the connection stays. */
  | { readonly kind: 'silent' }
  /** The answer comes a piece at a time, each once the test lets it, and so does its end. */
  | { readonly kind: 'slow'; readonly pieces: number; readonly next: () => Promise<void> }

export type FaultRule = (method: string, path: string) => Fault | undefined

export interface FaultyRegistry extends TestRegistry {
  /** From now on; undefined for a request: it passes. */
  fail(rule: FaultRule): void
  /** Paths that were asked for since the last call. */
  asked(): readonly string[]
}

export const noFault: FaultRule = () => undefined

export async function startFaultyRegistry(options: RegistryOptions = {}): Promise<FaultyRegistry> {
  const real = await startRegistry(options)
  let rule = noFault
  let paths: string[] = []
  const server = createServer((incoming, outgoing) => {
    const { method = '', url = '' } = incoming
    paths.push(`${method} ${url}`)
    const fault = rule(method, url)
    if (fault?.kind === 'silent') return
    if (fault?.kind === 'refused') refuse(outgoing, fault)
    else pass(real.address, { incoming, outgoing, fault })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    address: `127.0.0.1:${port}`,
    push: real.push,
    fail: (next) => {
      rule = next
    },
    asked: () => {
      const seen = paths
      paths = []
      return seen
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await real.close()
    },
  }
}

function refuse(outgoing: ServerResponse, fault: Extract<Fault, { kind: 'refused' }>): void {
  const { status, words, headers = {} } = fault
  const body = JSON.stringify({ errors: [{ code: words.split(':')[0], message: words }] })
  outgoing.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
}

interface Passing {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly fault: Fault | undefined
}

/** The door's own address stays in the request, so that the registry names it in its answers. */
function pass(address: string, { incoming, outgoing, fault }: Passing): void {
  const { method, url, headers } = incoming
  const [host, port] = address.split(':')
  const onward = httpRequest({ host, port, method, path: url, headers }, (answer) => {
    const whole: Buffer[] = []
    const { 'content-length': length, ...others } = answer.headers
    outgoing.writeHead(answer.statusCode ?? 502, fault?.kind === 'slow' ? others : answer.headers)
    if (fault === undefined) return void answer.pipe(outgoing)
    answer.on('data', (chunk: Buffer) => whole.push(chunk))
    answer.on('end', () => spoil(outgoing, Buffer.concat(whole), fault))
  })
  onward.on('error', () => outgoing.destroy())
  incoming.pipe(onward)
}

function spoil(outgoing: ServerResponse, body: Buffer, fault: Fault): void {
  const { kind } = fault
  const middle = Math.floor(body.length / 2)
  if (kind === 'slow') return void drip(outgoing, body, fault)
  if (kind === 'stalled') return void outgoing.write(body.subarray(0, middle))
  if (kind === 'changed') {
    body[middle] = (body[middle] ?? 0) ^ 1
    outgoing.end(body)
    return
  }
  outgoing.write(body.subarray(0, middle), () => outgoing.destroy())
}

async function drip(
  outgoing: ServerResponse,
  body: Buffer,
  { pieces, next }: Extract<Fault, { kind: 'slow' }>,
): Promise<void> {
  const size = Math.ceil(body.length / pieces)
  for (let at = 0; at < body.length; at += size) {
    await next()
    outgoing.write(body.subarray(at, at + size))
  }
  await next()
  outgoing.end()
}
