// Secrets and configs: data that the cluster puts into containers as files. Each row is one version; its data never changes.
import type { PayloadKind, PayloadSpec, PayloadUse } from '../spec/payload-spec.ts'
import type { ContainerSpec } from '../spec/service-spec.ts'
import type { PayloadId } from './ids.ts'

export interface Payload {
  readonly id: PayloadId
  readonly version: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly spec: PayloadSpec
  /** Among those of its name, from 1; the highest is the present one. */
  readonly revision: number
}

/** What a node is given of a secret or config. */
export interface AssignedPayload {
  readonly id: PayloadId
  readonly name: string
  readonly data: Uint8Array
  readonly templateDriver: PayloadSpec['templateDriver']
}

export type UsedPayload = PayloadUse & { readonly kind: PayloadKind }

/** Secrets, then configs. */
export function payloadsOf({ secrets, configs }: ContainerSpec): readonly UsedPayload[] {
  if (secrets.length === 0 && configs.length === 0) return none
  return [
    ...secrets.map((use) => ({ ...use, kind: 'secret' as const })),
    ...configs.map((use) => ({ ...use, kind: 'config' as const })),
  ]
}

const none: readonly UsedPayload[] = []
