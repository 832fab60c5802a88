// `tsswarm daemon --purge`: takes everything of tsswarm off this host: containers, network, images, volumes, membership.

import { connect } from 'node:net'
import { SwarmError } from '../../proto/errors.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { createLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { hostPaths } from '../../worker/executor/container/paths.ts'
import { releaseRunDir } from '../../worker/executor/container/run-dir.ts'
import { claimHost } from './claim-host.ts'
import type { DaemonConfig } from './config.ts'
import { engineDirs, openEngine } from './engine.ts'
import { LiveSettings } from './live-settings.ts'
import { removeFolder } from './remove-folder.ts'

export interface PurgeOptions {
  /** Those that have a name, with their folder; others belong to containers and go with them. */
  readonly keepsVolumes: boolean
}

/** Errors: FAILED_PRECONDITION while a daemon runs. A second run finds nothing and succeeds. */
export async function purgeHost(
  config: DaemonConfig,
  { keepsVolumes }: PurgeOptions,
): Promise<void> {
  if (await answers(config.socket)) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `a daemon serves ${config.socket}: leave the swarm with \`tsswarm swarm leave\`, stop the daemon, and purge then`,
    )
  }
  await claimHost()
  const log = createLogger('warn', 'tsswarm')
  // Whether containers could be made here does not matter any more.
  const last = { ...config, usernsRemap: 'off' }
  const engine = await openEngine({
    ...{ config: last, live: new LiveSettings(last), log },
    ...{ clock: systemClock, random: systemRandom },
  })
  for (const { id } of await engine.executor.list()) await engine.executor.remove(id)
  // First: its sockets hold the data plane.
  await engine.resolver.purge()
  await engine.network.purge()
  await engine.close()
  await releaseRunDir(engineDirs(config).runDir)
  await removeFolder(config.runDir)
  const { volumesDir } = hostPaths(engineDirs(config))
  await removeFolder(config.stateDir, keepsVolumes ? volumesDir : undefined)
}

/** Whether somebody listens on the socket. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    const end = (found: boolean): void => {
      socket.destroy()
      resolve(found)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
