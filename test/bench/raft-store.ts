// A store over a real Raft member of one, with its thread, its sealed log and fsync: what a benchmark compares the
// store in memory with.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRootCa } from '../../manager/ca/root-ca.ts'
import { startRaftThread } from '../../manager/raft/raft-thread.ts'
import { RaftProposer, storeStateMachine } from '../../manager/raft/store-bridge.ts'
import { ReplicatedStore } from '../../manager/store/replicated-store.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { freeAddress } from '../support/free-ports.ts'
import { managerCredentials } from '../support/raft-members.ts'

export interface RaftStore {
  readonly store: ReplicatedStore
  close(): Promise<void>
}

/** Resolves once the member leads. Its log is in the directory for temporary files. */
export async function openRaftStore(): Promise<RaftStore> {
  const directory = mkdtempSync(join(tmpdir(), 'tsswarm-bench-store-'))
  const proposer = new RaftProposer()
  const store = new ReplicatedStore({ proposer, clock: systemClock, random: systemRandom })
  let leads: () => void = () => {}
  const leading = new Promise<void>((resolve) => {
    leads = resolve
  })
  const root = await createRootCa(systemClock.wallMs())
  const raft = await startRaftThread({
    id: 'raft-a',
    directory: join(directory, 'raft'),
    keyFile: join(directory, 'key'),
    group: 'bench',
    listenAddress: await freeAddress(),
    credentials: await managerCredentials(root, 'node-a'),
    peers: [],
    beginning: { kind: 'new' },
    stateMachine: storeStateMachine(store),
    onLeadership: ({ role, term }) => {
      if (role !== 'leader') return
      store.startTerm(term)
      leads()
    },
    log: silentLogger,
  })
  proposer.open(raft)
  await leading
  const close = async (): Promise<void> => {
    await raft.stop()
    rmSync(directory, { recursive: true, force: true })
  }
  return { store, close }
}
