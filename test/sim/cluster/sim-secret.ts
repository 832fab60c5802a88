// The secret that every other service of a simulated cluster has, and whether a container was given it.
import type { TaskSpec } from '../../../proto/spec/service-spec.ts'
import type { FileMount } from '../../../worker/executor/executor.ts'

export const simSecret = 'sim-secret'
export const simSecretData = 'known to nodes with a task that has it'

/** As its spec says: the one file, or none. */
export function hasItsSecret({ container }: TaskSpec, files: readonly FileMount[]): boolean {
  const texts = files.map(({ data }) => Buffer.from(data()).toString())
  return texts.join() === container.secrets.map(() => simSecretData).join()
}
