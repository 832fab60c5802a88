// The credentials with which a service's tasks pull its image. They are in no spec, no answer and no event.
import type { PayloadId, ServiceId } from './ids.ts'

/** Those of one service. They come and go with its specs, as the specs do. */
export interface RegistryLogins {
  readonly serviceId: ServiceId
  /** Of its spec. */
  readonly present: RegistryLogin | undefined
  /** Of its previous spec: they come back with it. */
  readonly previous: RegistryLogin | undefined
}

/** What is kept under an id never changes. */
export interface RegistryLogin {
  /** That of the payload a node gets. */
  readonly id: PayloadId
  /** `host[:port]`: they are for no other. */
  readonly registry: string
  /** As codec/registry-login.ts reads it. */
  readonly auth: string
}
