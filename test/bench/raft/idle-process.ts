// Many idle groups in one process, on real clocks: what their ticks cost. A process of its own.
import { join } from 'node:path'
import {
  openNodeDisk,
  openStorage,
  type RaftDriver,
  type Storage,
  systemRandomBytes,
} from 'raft-ts'
import { answerAsChild } from './child.ts'
import { countingDriver } from './counting-driver.ts'

/** Groups that have no leader by then never will. */
const electionsMs = 60_000

export interface IdleQuestion {
  readonly directory: string
  readonly groups: number
  readonly membersPerGroup: number
  readonly ms: number
}

export interface IdleAnswer {
  /** Processor time of the whole process. */
  readonly cpuMs: number
  readonly ms: number
  readonly leaders: number
}

answerAsChild(async (question: IdleQuestion): Promise<IdleAnswer> => {
  const { directory, groups, membersPerGroup, ms } = question
  const all: RaftDriver[] = []
  for (let group = 0; group < groups; group++) {
    all.push(...(await openGroup(directory, group, membersPerGroup)))
  }
  for (const driver of all) driver.start()
  const leaders = (): number => all.filter(({ leadership }) => leadership.role === 'leader').length
  // Until every group is led and what elections leave behind is over.
  const endMs = performance.now() + electionsMs
  while (leaders() < groups) {
    if (performance.now() > endMs) throw new Error(`${leaders()} of ${groups} groups have a leader`)
    await sleep(100)
  }
  await sleep(2_000)
  const before = process.cpuUsage()
  const startMs = performance.now()
  await sleep(ms)
  const { user, system } = process.cpuUsage(before)
  return { cpuMs: (user + system) / 1000, ms: performance.now() - startMs, leaders: leaders() }
})

/** Its members hand each other messages in the next turn of the loop. */
async function openGroup(
  directory: string,
  group: number,
  count: number,
): Promise<readonly RaftDriver[]> {
  const ids = Array.from({ length: count }, (_, i) => `g${group}-m${i}`)
  const drivers = new Map<string, RaftDriver>()
  for (const id of ids) {
    const storage = await open(join(directory, id), `g${group}`, ids)
    const driver = countingDriver({
      id,
      storage,
      send: (message) => setImmediate(() => drivers.get(message.to)?.receive(message)),
      onCount: () => {},
    })
    drivers.set(id, driver)
  }
  return [...drivers.values()]
}

function open(directory: string, group: string, voters: readonly string[]): Promise<Storage> {
  return new Promise((resolve, reject) => {
    openStorage(
      {
        disk: openNodeDisk(directory),
        kek: { id: 'bench', key: new Uint8Array(32) },
        group,
        randomBytes: systemRandomBytes,
        segmentBytesMax: 1024 * 1024,
        beginning: { kind: 'new', voters },
      },
      (err, storage) => {
        if (storage === undefined) reject(err)
        else resolve(storage)
      },
    )
  })
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
