// The real TLS listener, every method of every service, every kind of caller that must not get through.
import {
  Client,
  type ClientOptions,
  credentials,
  Metadata,
  type ServiceDefinition,
} from '@grpc/grpc-js'
import t from 'tap'
import { newNode } from '../../../../manager/ca/ca-handlers.ts'
import { createRootCa, issueCertificate, type RootCa } from '../../../../manager/ca/root-ca.ts'
import { type HandlerTable, serviceImplementation } from '../../../../manager/rpc/adapter.ts'
import type { NodeDirectory } from '../../../../manager/rpc/authorize.ts'
import { methodPolicies } from '../../../../manager/rpc/policy.ts'
import { listenTls } from '../../../../manager/rpc/server.ts'
import { forwardedCallerKey, tlsCallers } from '../../../../manager/rpc/tls-callers.ts'
import { NodeCaService } from '../../../../proto/gen/tsswarm/v1/ca.ts'
import { ControlService } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { DispatcherService } from '../../../../proto/gen/tsswarm/v1/dispatcher.ts'
import { ManagerPeerService } from '../../../../proto/gen/tsswarm/v1/membership.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import type { NodeRole, TlsIdentity } from '../../../../proto/objects/index.ts'
import { channelCredentials, channelOptions, managerName } from '../../../../proto/rpc/channel.ts'
import { createNodeKey } from '../../../../worker/identity/node-key.ts'

const services: readonly ServiceDefinition[] = [
  ControlService,
  DispatcherService,
  NodeCaService,
  ManagerPeerService,
]
const hourMs = 3_600_000

interface Subject {
  readonly nodeId: string
  readonly role: NodeRole
  readonly clusterId: string
}

async function anIdentity(
  root: RootCa,
  subject: Subject,
  nowMs = Date.now(),
  lifeMs = hourMs,
): Promise<TlsIdentity> {
  const { csrPem, keyPem } = await createNodeKey()
  const certPem = await issueCertificate(root, { subject, csrPem, nowMs, lifeMs })
  return { certPem: certPem + root.certPem, keyPem, caPem: root.certPem }
}

const directory: NodeDirectory = {
  clusterId: () => 'c1',
  node: (id) =>
    ['m1', 'w1', 'demoted'].includes(id)
      ? newNode(id, id === 'm1' ? 'manager' : 'worker', 0)
      : undefined,
  isRemoved: (id) => id === 'gone',
}

async function* emptyStream(): AsyncGenerator<never, void, undefined> {
  yield* []
}

/** Handlers that note what got through. */
function noting(definition: ServiceDefinition, reached: string[]): HandlerTable {
  const table: Record<string, HandlerTable[string]> = {}
  for (const [name, method] of Object.entries(definition)) {
    const note = (): void => void reached.push(method.path)
    table[name] = method.requestStream
      ? async () => note()
      : method.responseStream
        ? () => {
            note()
            return emptyStream()
          }
        : async () => {
            note()
            throw new Error('reached')
          }
  }
  return table
}

/** Status code of a call of any kind with an empty message. */
function callStatus(
  client: Client,
  path: string,
  streams: { up: boolean; down: boolean },
  metadata = new Metadata(),
): Promise<number> {
  const plain = (bytes: Buffer): Buffer => bytes
  return new Promise((resolve) => {
    const deadline = { deadline: Date.now() + 5_000 }
    if (!streams.up && !streams.down) {
      client.makeUnaryRequest(path, plain, plain, Buffer.alloc(0), metadata, deadline, (err) =>
        resolve(err?.code ?? 0),
      )
      return
    }
    const up = streams.up
      ? client.makeBidiStreamRequest(path, plain, plain, metadata, deadline)
      : undefined
    const call =
      up ?? client.makeServerStreamRequest(path, plain, plain, Buffer.alloc(0), metadata, deadline)
    call.on('data', () => {})
    call.on('error', () => {})
    call.on('status', ({ code }) => resolve(code))
    up?.end()
  })
}

async function allMethods(
  client: Client,
  metadata?: Metadata,
): Promise<ReadonlyMap<string, number>> {
  const codes = new Map<string, number>()
  for (const definition of services) {
    for (const { path, requestStream, responseStream } of Object.values(definition)) {
      codes.set(
        path,
        await callStatus(client, path, { up: requestStream, down: responseStream }, metadata),
      )
    }
  }
  return codes
}

t.test('only the right callers reach a handler', async (t) => {
  const root = await createRootCa(Date.now())
  const foreign = await createRootCa(Date.now())
  const server = await anIdentity(root, { nodeId: 'm1', role: 'manager', clusterId: 'c1' })
  const reached: string[] = []
  const listener = await listenTls(
    '127.0.0.1:0',
    { current: () => server, onChange: () => () => {} },
    services.map((definition) => ({
      definition,
      implementation: serviceImplementation(definition, noting(definition, reached), {
        callerOf: tlsCallers(directory, systemClock),
      }),
    })),
  )
  t.teardown(() => listener.close())
  const address = `127.0.0.1:${listener.port}`

  async function attempt(
    identity: TlsIdentity | 'none' | 'plain',
    metadata?: Metadata,
  ): Promise<ReadonlyMap<string, number>> {
    reached.length = 0
    const creds =
      identity === 'plain'
        ? credentials.createInsecure()
        : identity === 'none'
          ? credentials.createSsl(Buffer.from(root.certPem))
          : channelCredentials({ ...identity, caPem: root.certPem })
    const options: ClientOptions = channelOptions(managerName)
    const client = new Client(address, creds, options)
    try {
      return await allMethods(client, metadata)
    } finally {
      client.close()
    }
  }
  const admitted = (allowed: readonly string[]): readonly string[] =>
    Object.entries(methodPolicies)
      .flatMap(([path, { admits }]) => (allowed.includes(admits) ? [path] : []))
      .sort()

  await attempt(await anIdentity(root, { nodeId: 'm1', role: 'manager', clusterId: 'c1' }))
  t.same([...reached].sort(), admitted(['managers', 'nodes', 'anyone']), 'a manager reaches all')
  await attempt(await anIdentity(root, { nodeId: 'w1', role: 'worker', clusterId: 'c1' }))
  t.same([...reached].sort(), admitted(['nodes', 'anyone']), 'a worker reaches what is for nodes')

  const subject = { nodeId: 'm1', role: 'manager', clusterId: 'c1' } as const
  const bad: readonly (readonly [string, TlsIdentity | 'none' | 'plain', readonly string[]])[] = [
    ['no certificate', 'none', ['anyone']],
    ['plain text', 'plain', []],
    ['a foreign CA', await anIdentity(foreign, subject), ['anyone']],
    ['expired', await anIdentity(root, subject, Date.now() - 3 * hourMs, hourMs), ['anyone']],
    [
      'another cluster of the same root',
      await anIdentity(root, { ...subject, clusterId: 'c2' }),
      [],
    ],
    ['an unknown node', await anIdentity(root, { ...subject, nodeId: 'stranger' }), []],
    ['a removed node', await anIdentity(root, { ...subject, nodeId: 'gone' }), []],
    [
      'demoted, with its old certificate',
      await anIdentity(root, { ...subject, nodeId: 'demoted' }),
      ['nodes', 'anyone'],
    ],
  ]
  for (const [name, identity, allowed] of bad) {
    const codes = await attempt(identity)
    t.same([...reached].sort(), admitted(allowed), `${name}: handlers reached`)
    for (const [path, code] of codes) {
      if (!reached.includes(path))
        t.ok([7, 14, 16].includes(code), `${name}: ${path} answers ${code}`)
    }
  }

  const forged = new Metadata()
  forged.set(forwardedCallerKey, 'local-admin m1')
  await attempt(await anIdentity(root, { nodeId: 'w1', role: 'worker', clusterId: 'c1' }), forged)
  t.same(reached, [], 'a worker cannot name another caller')
  await attempt('none', forged)
  t.same(reached, [], 'nor can someone without a certificate')
})
