// The same Node gRPC client against ours and against etcd: unary calls over one connection without TLS. Not judged: the
// client costs more than either server.

import { BinaryWriter } from '@bufbuild/protobuf/wire'
import { Client, credentials, Metadata } from '@grpc/grpc-js'
import { proposePath } from '../../support/propose-service.ts'
import { quantile, rounded } from './rounds.ts'

const callMs = 20_000

export interface NodeClientLoad {
  readonly address: string
  readonly concurrency: number
  readonly valueBytes: number
  readonly ms: number
}

export interface NodeClientResult {
  readonly perSecond: number
  readonly p50Ms: number
}

/** What one call sends: the number of the call makes keys distinct. */
interface Put {
  readonly path: string
  readonly request: (number: number) => Buffer
}

export async function loadOurs(load: NodeClientLoad): Promise<NodeClientResult> {
  const value = Buffer.alloc(load.valueBytes, 'v')
  return await run(load, { path: proposePath, request: () => value })
}

export async function loadEtcd(load: NodeClientLoad): Promise<NodeClientResult> {
  const value = new Uint8Array(load.valueBytes).fill(118)
  const prefix = Date.now()
  return await run(load, {
    path: '/etcdserverpb.KV/Put',
    // message PutRequest { bytes key = 1; bytes value = 2; } Source: etcd 3.4, etcdserverpb/rpc.proto.
    request: (number) => {
      const writer = new BinaryWriter()
      writer.tag(1, 2).string(`${prefix}-${number}`).tag(2, 2).bytes(value)
      return Buffer.from(writer.finish())
    },
  })
}

async function run(load: NodeClientLoad, put: Put): Promise<NodeClientResult> {
  const client = new Client(load.address, credentials.createInsecure())
  const latencies: number[] = []
  let number = 0
  const startMs = performance.now()
  const endMs = startMs + load.ms
  const caller = async (): Promise<void> => {
    while (performance.now() < endMs) {
      number += 1
      const sentMs = performance.now()
      await call(client, put.path, put.request(number))
      latencies.push(performance.now() - sentMs)
    }
  }
  try {
    await Promise.all(Array.from({ length: load.concurrency }, caller))
    const seconds = (performance.now() - startMs) / 1000
    return {
      perSecond: Math.round(latencies.length / seconds),
      p50Ms: rounded(quantile(latencies, 0.5)),
    }
  } finally {
    client.close()
  }
}

function call(client: Client, path: string, request: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      (value: Buffer) => value,
      (value: Buffer) => value,
      request,
      new Metadata(),
      { deadline: Date.now() + callMs },
      (err) => (err === null ? resolve() : reject(err)),
    )
  })
}
