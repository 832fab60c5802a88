// What this host knows of its membership beside its identity: addresses, Raft id, managers. One small file, replaced whole.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { SwarmError } from '../../proto/errors.ts'

const movedManager = z
  .object({
    raftId: z.string(),
    nodeId: z.string(),
    address: z.string(),
    raftAddress: z.string(),
    replaces: z.string(),
  })
  .readonly()

const schema = z
  .object({
    /** host:port this node listens on when it is a manager. */
    listenAddress: z.string(),
    /** Host others reach this node at. Empty: as its connections show. */
    advertiseHost: z.string(),
    /** Outer address of this node's VXLAN packets. Empty: the advertised host. */
    dataPathAddress: z.string().default(''),
    /** Where that host is found on this one, once it was: this node follows it to another address. */
    advertiseHome: z.object({ interface: z.string(), cidr: z.string() }).readonly().optional(),
    /** Its member id in Raft; undefined until it first became a manager. */
    raftId: z.string().optional(),
    /** Members of Raft last heard of, so that a restarted manager reaches them before its store is loaded. */
    peers: z
      .array(z.object({ id: z.string(), nodeId: z.string(), address: z.string() }).readonly())
      .readonly()
      .default([]),
    /** Managers that are somewhere else than the store says. */
    moved: z.array(movedManager).readonly().default([]),
    /** Members of Raft that a recovery left behind: never listened to again. */
    lostRaftIds: z.array(z.string()).readonly().default([]),
    /** Set from the wish to go on as the only manager until that is done; a daemon that finds it goes on with it. */
    recovery: z.object({ id: z.string() }).readonly().optional(),
    /** host:port of the managers last heard of. */
    managers: z.array(z.object({ nodeId: z.string(), address: z.string() }).readonly()).readonly(),
  })
  .readonly()

export type SwarmState = z.infer<typeof schema>

/** Undefined when the file does not exist. Errors: DATA_LOSS. */
export function readSwarmState(file: string): SwarmState | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw err
  }
  try {
    return schema.parse(JSON.parse(text))
  } catch (err) {
    throw new SwarmError(
      'DATA_LOSS',
      `${file} is damaged: leave the swarm with \`tsswarm swarm leave --force\` and join again`,
      { cause: err },
    )
  }
}

/** Replaces the file durably. */
export function writeSwarmState(file: string, state: SwarmState): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const beside = `${file}.new`
  const handle = openSync(beside, 'w', 0o600)
  try {
    writeSync(handle, JSON.stringify(state))
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
  renameSync(beside, file)
}

export function removeSwarmState(file: string): void {
  rmSync(file, { force: true })
}
