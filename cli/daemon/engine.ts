// This host's engine: containers, images and the local network; alive with or without a swarm.
import type { Clock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import type { Loop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { ImageHandlers } from '../../worker/engine/images.ts'
import type { Executor } from '../../worker/executor/executor.ts'
import { createNodeNetwork, type NodeNetwork } from '../../worker/network/node-network.ts'
import type { DaemonConfig } from './config.ts'

export interface Engine {
  readonly executor: Executor
  readonly images: ImageHandlers
  readonly network: NodeNetwork
  /** Heals the network until the signal aborts. */
  readonly run: Loop
  /** Lets go of everything; containers and their traffic go on. */
  close(): Promise<void>
}

export interface EngineDeps {
  readonly config: DaemonConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}
