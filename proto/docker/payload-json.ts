// Secrets and configs, and their use by services, as Docker's API shows them.
import type { PayloadKind, PayloadUse } from '../spec/payload-spec.ts'
import { type Json, metaJson } from './json.ts'

/** What of a version is shown; its times and version may be absent in an answer of another program. */
interface Shown {
  readonly id: string
  readonly meta?:
    | { readonly version: number; readonly createdAtMs: number; readonly updatedAtMs: number }
    | undefined
  readonly spec?:
    | {
        readonly name: string
        readonly labels: Readonly<Record<string, string>>
        readonly data: Uint8Array
        readonly templateDriver: string
      }
    | undefined
  readonly revision: number
}

/** Docker's Secret, which has no data, or Config; Revision is ours. */
export function payloadJson(kind: PayloadKind, { id, meta, spec, revision }: Shown): Json {
  const driver = spec?.templateDriver ?? ''
  return {
    ID: id,
    ...metaJson(meta ?? { version: 0, createdAtMs: 0, updatedAtMs: 0 }),
    Spec: {
      Name: spec?.name ?? '',
      Labels: spec?.labels ?? {},
      ...(kind === 'config' ? { Data: Buffer.from(spec?.data ?? []).toString('base64') } : {}),
      ...(driver === '' ? {} : { Templating: { Name: driver } }),
    },
    Revision: revision,
  }
}

/** Docker's SecretReference or ConfigReference. */
export function payloadUseJson(kind: PayloadKind, use: PayloadUse): Json {
  const word = kind === 'secret' ? 'Secret' : 'Config'
  return {
    File: { Name: use.target || use.name, UID: use.uid, GID: use.gid, Mode: use.mode },
    [`${word}ID`]: use.source,
    [`${word}Name`]: use.name,
  }
}
