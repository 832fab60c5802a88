// What three processes on this machine need for one entry without any Raft: the leader makes it durable and sends it over
// mutual TLS, the followers make it durable and answer; over when a majority has it. A commit cannot be faster.
import { closeSync, constants, fsyncSync, openSync, write, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import { createRootCa } from '../../../manager/ca/root-ca.ts'
import type { RaftCredentials } from '../../../manager/raft/raft-handle.ts'
import { managerCredentials } from '../../support/raft-members.ts'
import { BenchChild } from './child.ts'
import type { FloorQuestion } from './floor-process.ts'
import { inDirectory } from './log-alone.ts'

/** An append-response is about as long. */
export const answerBytes = 60
/** Written with zeros before, as a segment of the log is. */
const journalBytes = 64 * 1024 * 1024
const answerMs = 10_000

export function secureOptions({ caPem, certPem, keyPem }: RaftCredentials): {
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly minVersion: 'TLSv1.3'
} {
  return { ca: caPem, cert: certPem, key: keyPem, minVersion: 'TLSv1.3' }
}

/** Appends durably; a write that fails ends the process. */
export function openBareJournal(directory: string): (bytes: Buffer, done: () => void) => void {
  const path = join(directory, 'journal')
  const zeros = openSync(path, 'w')
  writeSync(zeros, Buffer.alloc(journalBytes))
  fsyncSync(zeros)
  closeSync(zeros)
  const fd = openSync(path, constants.O_WRONLY | constants.O_DSYNC)
  let at = 0
  return (bytes, done) => {
    if (at + bytes.length > journalBytes) at = 0
    write(fd, bytes, 0, bytes.length, at, (err) => {
      if (err !== null) throw err
      done()
    })
    at += bytes.length
  }
}

/** Milliseconds of each entry, one after the other for so long. */
export async function measureFloor(entryBytes: number, ms: number): Promise<readonly number[]> {
  return await inDirectory(async (own) => {
    return await inDirectory(async (first) => {
      return await inDirectory(async (second) => {
        const root = await createRootCa(Date.now())
        const children = [first, second].map((directory) => ({
          directory,
          child: new BenchChild('floor-process.js'),
        }))
        try {
          const credentials = await managerCredentials(root, 'node-l')
          const sockets = await Promise.all(
            children.map(async ({ directory, child }, i) => {
              const theirs = await managerCredentials(root, `node-${i}`)
              const question: FloorQuestion = { directory, credentials: theirs }
              return await connected(await child.ask<number>(question), credentials)
            }),
          )
          const latencies = await exchange({ sockets, directory: own, entryBytes, ms })
          for (const socket of sockets) socket.destroy()
          return latencies
        } finally {
          for (const { child } of children) await child.end()
        }
      })
    })
  })
}

function connected(port: number, credentials: RaftCredentials): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const options = { ...secureOptions(credentials), port, host: '127.0.0.1' }
    const socket = tlsConnect({ ...options, checkServerIdentity: () => undefined }, () => {
      socket.setNoDelay(true)
      resolve(socket)
    })
    socket.once('error', reject)
  })
}

interface Exchange {
  readonly sockets: readonly TLSSocket[]
  readonly directory: string
  readonly entryBytes: number
  readonly ms: number
}

async function exchange(options: Exchange): Promise<readonly number[]> {
  const { sockets, directory, entryBytes, ms } = options
  const journal = openBareJournal(directory)
  const entry = Buffer.alloc(entryBytes, 1)
  let number = 0
  let has = (_number: number): void => {}
  for (const socket of sockets) {
    socket.on('data', (bytes) => {
      for (let at = 0; at + answerBytes <= bytes.length; at += answerBytes) {
        has(bytes.readUInt32BE(at))
      }
    })
  }
  const once = (): Promise<void> =>
    new Promise((resolve, reject) => {
      number += 1
      const present = number
      const late = setTimeout(() => reject(new Error('no majority in time')), answerMs)
      let lacking = 2
      has = (which) => {
        // A late answer to an entry before is none to this one.
        if (which !== present || --lacking > 0) return
        clearTimeout(late)
        resolve()
      }
      entry.writeUInt32BE(present)
      for (const socket of sockets) socket.write(entry)
      journal(entry, () => has(present))
    })
  const latencies: number[] = []
  for (let i = 0; i < 500; i++) await once()
  const endMs = performance.now() + ms
  while (performance.now() < endMs) {
    const sentMs = performance.now()
    await once()
    latencies.push(performance.now() - sentMs)
  }
  return latencies
}
