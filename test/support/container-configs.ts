// Container configurations for tests that show only what matters. Loads nothing of the executor itself.
import type { ContainerConfig } from '../../worker/executor/executor.ts'

/** A container of the test image without network. */
export function aContainer(id: string, over: Partial<ContainerConfig> = {}): ContainerConfig {
  return {
    id,
    name: `test.1.${id}`,
    image: 'test/busybox',
    env: [],
    labels: {},
    mounts: [],
    network: { kind: 'none' },
    ...over,
  }
}

/** A container that runs a shell script. */
export function aScript(
  id: string,
  script: string,
  over: Partial<ContainerConfig> = {},
): ContainerConfig {
  return aContainer(id, { entrypoint: ['/bin/sh', '-c'], args: [script], ...over })
}

/** The same, with what goes to the standard error in its place among the rest. */
export function aJoinedScript(
  id: string,
  script: string,
  over: Partial<ContainerConfig> = {},
): ContainerConfig {
  return aScript(id, `exec 2>&1; ${script}`, over)
}
