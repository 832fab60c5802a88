// All that `tsswarm doctor` looks at, of this very host.

import { checkAdvice } from '../host/advice.ts'
import type { CheckResult } from '../host/check-result.ts'
import { managerPortsAt } from '../host/cluster-ports.ts'
import { diskTrial } from '../host/disk-trial.ts'
import { checkHost, checkReach, checkRuntime, systemProbes } from '../host/requirements.ts'
import { loadDaemonConfig } from './config.ts'
import { daemonPaths } from './host-paths.ts'
import { readSwarmState } from './swarm-state.ts'

export interface Examination {
  /** As given to doctor; undefined: as the daemon would have it. */
  readonly stateDir: string | undefined
  readonly configFile: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Errors: INVALID_ARGUMENT of settings the daemon would refuse. */
export async function examineHost(given: Examination): Promise<readonly CheckResult[]> {
  const { stateDir, configFile, env } = given
  const config = loadDaemonConfig({ stateDir }, env, configFile)
  const control = controlPort(daemonPaths(config).swarmState)
  const probes = systemProbes()
  const trial = diskTrial(probes.run)
  return [
    ...(await checkHost(probes)),
    ...(await checkRuntime(config.defaultRuntime, probes)),
    ...(await checkReach(probes, managerPortsAt(control))),
    ...(await checkAdvice(probes, { trial, folder: config.stateDir })),
  ]
}

/** Where a manager of this host listens, or would. */
function controlPort(stateFile: string): number {
  try {
    const listen = readSwarmState(stateFile)?.listenAddress ?? ''
    return Number(/:(\d+)$/.exec(listen)?.[1] ?? 2377)
  } catch {
    // Whoever may not read it is told by the check for root; a damaged one by the daemon.
    return 2377
  }
}
