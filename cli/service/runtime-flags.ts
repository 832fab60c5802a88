// --runtime: which runtime the containers of a service have.
import { runtimeNames } from '../../proto/spec/runtime-names.ts'
import type { ContainerSpec } from '../../proto/spec/service-spec.ts'
import { choice, type FlagValues } from '../flags.ts'

const usual = 'default'

export const runtimeFlags = {
  runtime: choice(
    'Runtime of the containers: crun, runc, or default (the usual one of each node)',
    [...runtimeNames, usual],
  ),
}

/** The present one, or what the flag says. */
export function changedRuntime(
  present: Pick<ContainerSpec, 'runtime'>,
  flags: FlagValues<typeof runtimeFlags>,
): Pick<ContainerSpec, 'runtime'> {
  const runtime = flags.runtime ?? present.runtime
  return runtime === undefined || runtime === usual ? {} : { runtime }
}
