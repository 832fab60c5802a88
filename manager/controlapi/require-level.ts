// Refuses what a manager of an older version would drop from the store.
import { SwarmError } from '../../proto/errors.ts'
import { optionsLevel } from '../../proto/objects/index.ts'
import type { PayloadKind, PayloadSpec } from '../../proto/spec/payload-spec.ts'
import type { ReadTx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'

/** Errors: FAILED_PRECONDITION while a manager knows nothing of such networks. */
export function requireLevel(
  tx: ReadTx,
  level: number,
  what: string,
  objects = 'such networks',
): void {
  const { featureLevel } = theCluster(tx)
  if (featureLevel >= level) return
  throw new SwarmError(
    'FAILED_PRECONDITION',
    `${what} cannot be made: the cluster is at feature level ${featureLevel}, and ${objects} came with ${level}. ` +
      'Upgrade tsswarm on all managers; the cluster moves on by itself',
    { details: { featureLevel } },
  )
}

/** Errors: FAILED_PRECONDITION while a manager would take a template for plain data. */
export function requireTemplates(
  tx: ReadTx,
  kind: PayloadKind,
  { name, templateDriver }: PayloadSpec,
): void {
  if (templateDriver !== '') requireLevel(tx, optionsLevel, `${kind} "${name}"`, 'templates')
}
