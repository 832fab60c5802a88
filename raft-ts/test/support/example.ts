// The README's example: three members in one process, a counter as state machine. The part between the marks is
// quoted there word for word.
// begin
import {
  driverRequests,
  type Message,
  openNodeDisk,
  openStorage,
  type PeerMessage,
  RaftDriver,
  type StateMachine,
  systemRandomBytes,
} from 'raft-ts'

const voters = ['a', 'b', 'c']
const drivers = new Map<string, RaftDriver>()

/** Counts the entries that carry data. Real ones encode and decode whole states. */
function counter(): StateMachine & { count: number } {
  return {
    count: 0,
    apply(entries, done) {
      for (const entry of entries)
        if (entry.kind === 'data' && entry.data.length > 0) this.count += 1
      setImmediate(done)
    },
    snapshot() {
      let bytes: Uint8Array | undefined = Buffer.from(String(this.count))
      return {
        read: (done) => {
          setImmediate(done, undefined, bytes)
          bytes = undefined
        },
        cancel: () => {},
      }
    },
    restore(_meta, source, done) {
      source.read((err, bytes) => {
        this.count = Number(bytes)
        done(err)
      })
    },
  }
}

export function member(id: string, directory: string): Promise<RaftDriver> {
  return new Promise((resolve, reject) => {
    const options = {
      disk: openNodeDisk(directory),
      kek: { id: 'example', key: new Uint8Array(32) }, // see readOrCreateKeyFile
      group: 'example',
      randomBytes: systemRandomBytes,
      segmentBytesMax: 16 * 1024 * 1024,
      beginning: { kind: 'new', voters },
    } as const
    openStorage(options, (err, storage) => {
      if (storage === undefined) return reject(err)
      const driver = new RaftDriver({
        id,
        storage,
        stateMachine: counter(),
        transport: { send: (_lane, message) => deliver(message) },
        clock: {
          monotonicMs: () => performance.now(),
          setTimer: (delayMs, fn) => {
            const timer = setTimeout(fn, delayMs)
            return { cancel: () => clearTimeout(timer) }
          },
        },
        random: { float: Math.random, bytes: systemRandomBytes },
        onFailed: (failure) => console.error(id, failure),
      })
      drivers.set(id, driver)
      driver.start()
      resolve(driver)
    })
  })
}

/** Your network: may lose, delay, repeat and reorder, but not change messages. */
function deliver(message: PeerMessage | Message): boolean {
  setImmediate(() => drivers.get(message.to)?.receive(message))
  return drivers.has(message.to)
}

/** Resolves with the index at which the entry was applied, on a quorum's disks. */
export async function propose(driver: RaftDriver, text: string): Promise<number | undefined> {
  const outcome = await driverRequests(driver).propose(Buffer.from(text))
  return outcome.kind === 'committed' ? outcome.index : undefined
}
// end
