// Proposals over gRPC without TLS, one a unary call: what a Node client is measured against. For benchmarks.
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import type { RaftHandle } from '../../manager/raft/raft-handle.ts'

export const proposePath = '/tsswarm.bench.Proposer/Propose'

const bytes = {
  serialize: (value: Buffer): Buffer => value,
  deserialize: (value: Buffer): Buffer => value,
}

const service: ServiceDefinition = {
  propose: {
    path: proposePath,
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes.serialize,
    requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize,
    responseDeserialize: bytes.deserialize,
  },
}

/** Listens on a loopback port of its own; resolves with host:port. Ends with the process. */
export async function serveProposals(raft: RaftHandle): Promise<string> {
  const server = new Server()
  server.addService(service, {
    propose: (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => {
      raft.propose(call.request).then(({ kind }) => {
        if (kind === 'committed') respond(null, Buffer.alloc(0))
        else respond({ code: status.UNAVAILABLE, details: kind })
      })
    },
  })
  return await new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (err, port) => {
      if (err === null) resolve(`127.0.0.1:${port}`)
      else reject(err)
    })
  })
}
