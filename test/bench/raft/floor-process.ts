// A follower that is no Raft: makes what comes durable, and answers. A process of its own.
import { createServer } from 'node:tls'
import type { RaftCredentials } from '../../../manager/raft/raft-handle.ts'
import { answerAsChild } from './child.ts'
import { answerBytes, openBareJournal, secureOptions } from './floor.ts'

export interface FloorQuestion {
  readonly directory: string
  readonly credentials: RaftCredentials
}

answerAsChild(async ({ directory, credentials }: FloorQuestion): Promise<number> => {
  const write = openBareJournal(directory)
  const server = createServer({ ...secureOptions(credentials), requestCert: true }, (socket) => {
    socket.setNoDelay(true)
    socket.on('error', () => process.exit(1))
    socket.on('data', (bytes) => {
      const answer = Buffer.alloc(answerBytes)
      bytes.copy(answer, 0, 0, 4)
      write(bytes, () => socket.write(answer))
    })
  })
  return await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
})
