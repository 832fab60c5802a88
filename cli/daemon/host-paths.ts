// Where one daemon keeps what. Swarm membership lies in one directory, so that leaving is removing it.
import { join } from 'node:path'
import type { DaemonConfig } from './config.ts'

export interface DaemonPaths {
  /** Everything that belongs to the membership in a swarm. */
  readonly swarm: string
  readonly certificates: string
  readonly raft: string
  /** The key that wraps the data key of the Raft log. */
  readonly raftKey: string
  /** The commit point of init and join: without it this host is in no swarm. */
  readonly swarmState: string
  readonly tasks: string
}

export function daemonPaths(config: DaemonConfig): DaemonPaths {
  const swarm = join(config.stateDir, 'swarm')
  return {
    swarm,
    certificates: join(swarm, 'certificates'),
    raft: join(swarm, 'raft'),
    raftKey: join(swarm, 'raft.key'),
    swarmState: join(swarm, 'state.json'),
    tasks: join(swarm, 'tasks'),
  }
}
